"""The billing service: contracts, their approval and instalments, and the ledger."""
