"""Hand a tuned model on: its folder, a model card, checksums, and other formats on request."""
