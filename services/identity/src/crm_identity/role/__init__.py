"""Roles, permissions and data scopes (ID-10 to ID-12)."""
