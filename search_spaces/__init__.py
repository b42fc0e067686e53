"""What is explored: one Optuna define-by-run space a file."""
