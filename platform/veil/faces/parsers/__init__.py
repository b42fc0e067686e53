"""Face parsers, one file each: which part of the face each pixel of a crop shows."""
