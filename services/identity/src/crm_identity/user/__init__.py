"""People who log in: profile, place, superior, roles, status (ID-4, ID-5, ID-8)."""
