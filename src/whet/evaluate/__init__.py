"""Measures, runs, significance and the verdict."""
