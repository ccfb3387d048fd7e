"""How many runs a tracking server takes: workers that record and train nothing."""
