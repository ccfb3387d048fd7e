"""Data: published and a person's own, checked, split."""
