"""Contract values: what was signed, by the day of signing."""
