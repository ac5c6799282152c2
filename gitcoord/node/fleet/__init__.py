"""The agents of a fleet file, started and watched."""
