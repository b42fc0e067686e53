"""`veil attack`: the ladder on any anonymizer, or on photographs that somebody else's tool has anonymized."""
