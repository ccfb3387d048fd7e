"""fitgap: which Keras model generalises, and how certain that is.

What a user's programs and notebooks need is here. Each name loads when it is first used:
importing fitgap waits for neither TensorFlow nor MLflow.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fitgap.errors import DivergedError, RequestError

if TYPE_CHECKING:
    from fitgap.api.run import Run
    from fitgap.api.study import Study
    from fitgap.training.gap_callback import GapCallback
    from fitgap.training.quick_fit import fit

__version__ = "0.1.0"
__all__ = ["DivergedError", "GapCallback", "RequestError", "Run", "Study", "__version__", "fit"]

_MODULES = {
    "Run": "fitgap.api.run",
    "Study": "fitgap.api.study",
    "GapCallback": "fitgap.training.gap_callback",
    "fit": "fitgap.training.quick_fit",
}

# MLflow reports its use to its makers unless told otherwise; a person's experiments are their own.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def __getattr__(name: str) -> Any:
    """Import a public name of this package at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'fitgap' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the names of the package's face."""
    return sorted(__all__)
