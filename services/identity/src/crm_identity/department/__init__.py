"""The organisation tree (ID-2)."""
