"""Logins: OAuth tokens, refresh, logout, login protection (ID-20 to ID-25)."""
