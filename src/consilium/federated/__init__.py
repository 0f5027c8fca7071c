"""Learning among participants who keep their data. Its protocols come with the secure rounds."""
