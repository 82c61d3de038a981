"""Activities: calls, e-mails, visits, notes, and the records they are about (SA-30)."""
