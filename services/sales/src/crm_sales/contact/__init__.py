"""What sales knows of contacts: a replica, fed by their events."""
