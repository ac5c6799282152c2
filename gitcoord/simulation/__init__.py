"""A fleet in virtual time: the product's own protocol against a world that loses, delays, reorders and lies."""
