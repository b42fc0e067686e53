"""Veil: how much privacy a face anonymizer buys, and what it costs in facial expression."""

__version__ = "0.1.0"
