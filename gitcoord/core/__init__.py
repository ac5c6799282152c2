"""The core: the event, the fold, the round and leadership. It is pure: no clock, no I/O, no randomness."""
