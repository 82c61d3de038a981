"""Broker to effect: each group applies every event once, in order, in a transaction of its own database."""
