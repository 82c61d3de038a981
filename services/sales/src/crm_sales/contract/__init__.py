"""What sales knows of contracts: a replica, fed by their events."""
