"""Training, thin over sentence-transformers' trainer."""
