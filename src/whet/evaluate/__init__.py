"""Is the tuned model better than the base, and how sure is that? Rankings and judgements in, a verdict out."""
