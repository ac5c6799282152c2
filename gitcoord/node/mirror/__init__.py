"""The mirror of the ledger on another remote, for people to read."""
