"""Who leaves hands their records to a successor, in every service: the saga that asks for it and counts it together (ID-6)."""
