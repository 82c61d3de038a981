"""Fixtures, builders, contract suites."""
