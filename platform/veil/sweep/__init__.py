"""Running a study: the only place that knows Ray and Optuna."""
