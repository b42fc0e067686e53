"""Faces as every part of Veil sees them: detected, aligned, with landmarks, in one table."""
