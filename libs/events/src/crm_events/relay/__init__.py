"""Outbox to broker: one leader per service gives numbers, sends, stores, and sends again what a group lacks."""
