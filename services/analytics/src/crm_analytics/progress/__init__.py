"""How far the consumers of this service are: written in the transaction that applies, read by `as_of` and the rebuild."""
