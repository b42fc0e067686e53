"""From scored trials to a frontier: dominance, hypervolume, selection, table and page."""
