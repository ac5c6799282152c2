"""Diagnostics: what is wrong here, with the remote, with the log."""
