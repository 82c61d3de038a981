"""The support service: tickets, replies, queues."""
