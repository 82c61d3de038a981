"""Identity: the organisation, its people, what they may do and reach, and the tokens that say so."""
