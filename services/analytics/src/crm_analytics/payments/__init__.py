"""Payments received: what came in and was approved, by the day it came in."""
