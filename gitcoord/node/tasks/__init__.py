"""Tasks as commands, each in a folder of its own."""
