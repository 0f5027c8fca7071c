"""Levels of the emergency stop and states of the system, from the best to the worst."""

ESS_LEVELS = ("NOMINAL", "CAUTION", "WARNING", "CRITICAL")
SYSTEM_STATES = ("HEALTHY", "DEGRADED", "CRITICAL", "EMERGENCY")
