"""Passwords and activation codes (ID-25)."""
