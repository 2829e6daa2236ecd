"""A run: its folder, data, recipe, results. Only `stages` and this package know a run."""
