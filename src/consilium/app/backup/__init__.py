"""All that a service must not lose in one folder, and back from it into an empty one."""
