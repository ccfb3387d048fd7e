"""Measuring this project against plain Keras."""
