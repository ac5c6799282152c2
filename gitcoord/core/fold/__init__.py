"""The fold: the state that follows from the ledger's lines, the same on every machine."""
