"""Queries that passages answer, where nobody has written them down."""
