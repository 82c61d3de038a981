"""What sales knows of tickets: a replica, fed by their events."""
