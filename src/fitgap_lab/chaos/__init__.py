"""Sweeps that are killed at random, and what is left of them."""
