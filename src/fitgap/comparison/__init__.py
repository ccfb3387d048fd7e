"""Groups of runs over seeds: estimates, tests, verdicts, and the tables that say so."""
