"""The train stage: candidates are trained and compared, and one model is kept."""
