"""The keys that access tokens are signed and verified with (ID-26)."""
