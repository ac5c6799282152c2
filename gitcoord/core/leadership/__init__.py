"""Who lives and who leads: heartbeats, silence, elections."""
