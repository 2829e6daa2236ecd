"""The stages: one file builds one folder of a run."""
