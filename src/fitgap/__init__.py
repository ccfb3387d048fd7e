"""fitgap: which Keras model generalises, and how sure that is."""

__version__ = "0.1.0"
