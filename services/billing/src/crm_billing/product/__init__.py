"""What billing knows of products: a replica, fed by their events."""
