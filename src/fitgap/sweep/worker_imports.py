"""Import what a run needs: joblib's workers are forked from a process that has done this."""

import os
from importlib import import_module

from fitgap import heavy_imports, processes
from fitgap.training import backend

MODULES = (
    "mlflow.tensorflow",
    "fitgap.tracking.artifacts",
    "fitgap.sweep.job",
    "fitgap.models.build",
    "fitgap.training.loop",
)

with heavy_imports.paused_garbage_collection():
    backend.load()
    for module in MODULES:
        import_module(module)
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    from fitgap.tracking.saved_model import pip_requirements

    # The first model of a process that MLflow saves has it look into every installed package.
    warn_dependency_requirement_mismatches(pip_requirements())

# Until here nobody could have told a person anything of it but a traceback.
processes.hear_interrupts()

# A worker whose sweep is killed before its first job would wait for that for five minutes.
os.register_at_fork(after_in_child=processes.watch_sweep)
