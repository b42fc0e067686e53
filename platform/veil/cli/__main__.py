"""`python -m veil.cli` is `veil`."""

from veil.cli import main

main()
