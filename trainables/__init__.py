"""What is run: anonymizers, their training, conditioning signals and attackers."""
