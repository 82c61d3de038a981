"""What all reports share: the days asked for, credit filters, money of several currencies, `as_of`."""
