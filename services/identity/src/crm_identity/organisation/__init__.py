"""What departments, users and roles need of each other: the lock they change under, and who refers to whom."""
