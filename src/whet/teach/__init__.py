"""Teachers: what several models think of (query, passage) pairs, and the soft labels made of it."""
