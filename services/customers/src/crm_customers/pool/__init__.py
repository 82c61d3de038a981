"""The public pool: customers without an owner, free to be claimed under rules (CU-40, CU-43, CU-44)."""
