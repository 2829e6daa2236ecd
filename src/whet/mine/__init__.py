"""Hard negatives: what the current model gets wrong."""
