"""Payments: recorded, approved, and only then counted for the instalments they are for (BI-21)."""
