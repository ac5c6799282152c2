"""The round: fetch, follow, reconcile, plan, push, apply."""
