"""Writing the record of a run to MLflow."""
