"""The format of an event: one signed line of JSON."""
