"""Whether a service can start with the settings that it was given, all faults at once."""
