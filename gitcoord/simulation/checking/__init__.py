"""What must hold when a schedule is over, seen by code that shares nothing with the product."""
