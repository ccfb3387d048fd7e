"""Sweeps: a grid of runs, planned, launched, resumed."""
