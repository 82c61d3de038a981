"""A service's database was set back to an earlier instant: what it had told others since is reconciled. docs/decisions/0028 says why so.

`rules` decides what undoes a lost fact, `store` has the statements, `taking_back` does the work, while the service is held; `listening`
waits until the log of all events has heard everything that lies on the bus.
"""
