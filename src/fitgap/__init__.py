"""fitgap: which Keras model generalises, and how sure that is."""

import os

__version__ = "0.1.0"

# MLflow reports its use to its makers unless told otherwise; a person's experiments are their own.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
