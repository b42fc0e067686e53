"""Anonymizing photographs and videos with a registered operating point."""
