"""What support knows of contacts: a replica, fed by their events."""
