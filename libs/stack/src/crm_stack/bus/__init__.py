"""What operators look at and do on the bus of a running stack: the work behind `crm events`."""
