"""Facts: what figures are made of. Fed by events only; every table can be made again from the log."""
