"""A fleet in virtual time: the product's own protocol in a world that loses, delays, reorders and forges messages."""
