"""Who acts: drives the protocol, retries, leads, reacts."""
