"""Opportunities: possible sales, their stages, lines and outcomes (SA-2 … SA-5)."""
