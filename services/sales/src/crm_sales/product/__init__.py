"""Products: what is sold (SA-10)."""
