"""Questions that a preset's sweep answers: which remedy helps, would more data."""
