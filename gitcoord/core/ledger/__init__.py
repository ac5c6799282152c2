"""The ledger and the outboxes as git objects, and what a reader keeps of them."""
