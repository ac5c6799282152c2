"""The code that is coordinated: trial merges of branches, and what would conflict."""
