"""The processes that act: they drive the protocol, retry, lead, and run what users configured."""
