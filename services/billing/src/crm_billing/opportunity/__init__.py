"""What billing knows of opportunities: a replica, fed by their events."""
