"""Leadership: heartbeats, silence, elections."""
