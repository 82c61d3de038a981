"""The company's settings (ID-1)."""
