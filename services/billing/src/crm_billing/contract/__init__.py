"""Contracts: drafted, approved, with their instalments, until they end (BI-1, BI-2, BI-4, BI-20, SA-8)."""
