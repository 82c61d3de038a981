"""Opportunity outcomes: won and lost by closing date, open by opening date."""
