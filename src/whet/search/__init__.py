"""Search: vectors (exact, faiss) and BM25, with one top-k contract."""
