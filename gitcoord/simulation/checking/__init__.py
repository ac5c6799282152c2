"""Checks of what must hold at the end of a schedule, by code that shares nothing with the product."""
