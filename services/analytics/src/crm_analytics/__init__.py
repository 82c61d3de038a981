"""The analytics service: the log of all events, facts made from them, and reports over the facts."""
