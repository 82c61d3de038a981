"""Webhooks: events sent to systems outside, signed, in order per record, as far as their owner may read the records."""
