"""The training loop, its checkpoints, and what a person sees of it."""
