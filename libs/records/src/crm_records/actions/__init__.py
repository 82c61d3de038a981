"""What can be done with every record. Each takes the unit of work, the record type, and checks scope and permissions itself."""
