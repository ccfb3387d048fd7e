"""The settings of an experiment: their schema, their checks, the project folder."""
