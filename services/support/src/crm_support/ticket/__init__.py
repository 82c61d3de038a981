"""Tickets: who asks for what, who sees to it, how far it is, what was answered (SU-1 … SU-3, SU-6)."""
