"""How the ledger and the outboxes lie in git, and what a reader keeps of them."""
