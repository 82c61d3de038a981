"""The log of all events: what audit search, feed, webhooks and rebuilds read."""
