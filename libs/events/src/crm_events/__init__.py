"""Journal, outbox, relay, consumer, dead letters, reconcile."""
