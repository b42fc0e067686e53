"""Anonymizers with one interface: classical filters, and generators that a trainable has trained."""
