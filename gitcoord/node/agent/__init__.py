"""`gitcoord agent run`: one process for one agent or several."""
