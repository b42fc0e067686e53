"""The evaluation protocol: attack ladder, guards, and the score of one anonymizer."""
