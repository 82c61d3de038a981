"""Pipelines and their stages (SA-1)."""
