"""Teachers: scores of (query, passage) pairs, and the soft labels and audits made from them."""
