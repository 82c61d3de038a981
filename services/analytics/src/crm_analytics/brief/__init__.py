"""The sales brief (AN-1), of what exists so far: customers, contacts, opportunities; this period and the one before."""
