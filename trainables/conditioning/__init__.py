"""What a generator is allowed to see: one file per signal, and any sum of them by name ("masked+landmarks")."""

from trainables.conditioning.combined import Combined, build_conditioning

__all__ = ["Combined", "build_conditioning"]
