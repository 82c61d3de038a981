"""Measurements as ratios to a reference taken in the same run: what `crm bench` runs. docs/measurements.md has the results."""
