"""A run: its folder, data, recipe, and what a finished one holds. Only stages and this package know a run."""
