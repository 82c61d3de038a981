"""The sample company of `./crm up --demo`: planned by a pure, seeded function (`plan.py`), loaded by its people (`load/`)."""
