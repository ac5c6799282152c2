"""The operations of single commands on a node."""
