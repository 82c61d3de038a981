"""What the caller is and may do, and why (ID-16)."""
