"""A network in MLflow's form: Keras's file, signature, input example, the code to open it."""

import functools
import inspect
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import mlflow.tensorflow
import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType

from fitgap.config.modules import module_name
from fitgap.data import rows
from fitgap.models import own_objects
from fitgap.tracking import artifacts

if TYPE_CHECKING:
    import keras
    import pandas as pd

    Example: TypeAlias = "np.ndarray[Any, Any] | pd.DataFrame"

ROWS_MODULE = "fitgap_rows"  # in the code of a model that takes rows: a copy of `fitgap.data.rows`


def save(
    folder: Path, model: "keras.Model", *, example: "Example", output: str, code: Mapping[str, str]
) -> Path:
    """Save a network, and return its folder.

    Parameters
    ----------
    folder
        Exists; the code is laid there as well.
    model
        Built.
    example
        Of shape (n, *image_shape): a few images; or a few rows of a table.
    output
        What a value of its answer is: the answer's name in the signature.
    code
        The person's own files, of which the model may need classes where it is opened.
    """
    # What Model.log does, without its loading the model again to try the input example.
    outputs = [TensorSpec(np.dtype(np.float32), (-1, model.output_shape[-1]), output)]
    names = [module_name(file) for file in code]
    modules = [sys.modules[name] for name in names if name in sys.modules]
    takes_rows = not isinstance(example, np.ndarray)
    if takes_rows:
        code = {**code, f"{ROWS_MODULE}.py": inspect.getsource(rows)}
    artifacts.write_code(folder, code)
    path = folder / "model"
    with own_objects.only_registered(modules), own_objects.without_own_training_parts(model):
        # It warns of an environment without pip, such as uv makes: nothing here needs one.
        logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
        mlflow.tensorflow.save_model(
            model,
            path=str(path),
            mlflow_model=Model(),
            signature=ModelSignature(Schema(_tensors(example)), Schema(outputs)),
            input_example=example,
            custom_objects=own_objects.own_layers(model) or None,
            code_paths=sorted(map(str, (folder / "code").glob("*"))) or None,
            # Given, since MLflow otherwise starts a process to find them out.
            pip_requirements=pip_requirements(),
        )
    if takes_rows:
        description = Model.load(path / "MLmodel")
        # Columns of any type: MLflow refuses whole numbers for a column of floats, and a gap in one
        # of whole numbers. What a column must hold the model says itself.
        columns = [ColSpec(AnyType(), name) for name in description.signature.inputs.input_names()]
        description.signature = ModelSignature(Schema(columns), Schema(outputs))
        description.flavors["python_function"]["loader_module"] = ROWS_MODULE
        description.save(path / "MLmodel")
    return path


def _tensors(example: "Example") -> list[TensorSpec]:
    if isinstance(example, np.ndarray):
        return [TensorSpec(example.dtype, (-1, *example.shape[1:]))]
    return [TensorSpec(np.dtype(object), (-1,), str(name)) for name in example.columns]


@functools.cache
def pip_requirements() -> list[str]:
    """Return what a recorded model needs to be loaded, in the installed versions."""
    import importlib.metadata

    names = ("mlflow", "tensorflow", "keras", "numpy")
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]
