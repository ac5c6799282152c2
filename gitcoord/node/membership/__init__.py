"""Becoming a member of a fleet, and leaving it."""
