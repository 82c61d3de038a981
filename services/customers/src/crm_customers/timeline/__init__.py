"""The timeline of a customer: what happened with it in all services, as far as the caller sees the records (CU-17)."""
