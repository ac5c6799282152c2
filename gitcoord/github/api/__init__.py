"""GitHub's API: reads, retries, limits, and writes that happen once."""
