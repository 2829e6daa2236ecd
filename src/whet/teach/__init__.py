"""Teachers: their scores of (query, passage) pairs, the soft labels made from them, and the audit."""
