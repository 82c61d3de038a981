"""Queues: where tickets wait that nobody sees to yet, and who may take them (SU-3)."""
