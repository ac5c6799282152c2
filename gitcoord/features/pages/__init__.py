"""Pages for people: snapshots of the conversations and the fleet's card. Pure: state in, text out."""
