"""Read, check and split the user's data; the only place that opens users' files."""
