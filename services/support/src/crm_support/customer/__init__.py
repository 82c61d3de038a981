"""What support knows of customers: a replica, fed by their events."""
