"""The fold: what follows from the lines of the ledger, the same everywhere."""
