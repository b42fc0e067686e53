"""Adaptive attackers: they learn from anonymized images before they attack."""
