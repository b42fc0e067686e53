"""Readers of foreign weight files, and the base of the frozen nets built from them."""
