"""Joining a fleet, and leaving it."""
