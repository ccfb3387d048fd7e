"""Data: published datasets and the user's own, checked and split."""
