"""Whether what a comparison claims holds where the truth is known: simulated coverage and power."""
