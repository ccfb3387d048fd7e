"""What a run imports, imported: joblib's workers are forked from a process that has done so."""

from fitgap import backend

with backend.quick_imports():
    backend.load()
    import mlflow.tensorflow  # noqa: F401
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    from fitgap import artifacts, jobs, models, preparation, tracking, training  # noqa: F401

    # The first model of a process that MLflow saves has it look into every installed package.
    warn_dependency_requirement_mismatches(tracking.pip_requirements())
