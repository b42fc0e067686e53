"""Frozen rungs of the attack ladder, one file each: the recognizer is used as it is, only the images differ."""
