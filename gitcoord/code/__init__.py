"""The coordinated code: trial merges of branches, and their conflicts."""
