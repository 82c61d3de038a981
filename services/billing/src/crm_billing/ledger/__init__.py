"""The ledger: immutable double entries that prove what a contract comes to, what is received, and what is open (BI-24)."""
