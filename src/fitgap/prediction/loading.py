"""A recorded run's network and its data, read again.

Only Keras's own file is read, in its safe mode: no code from a record is run.
"""

import contextlib
import warnings
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitgap.data import datasets, rows
from fitgap.data.datasets import Dataset
from fitgap.errors import RequestError, first_line
from fitgap.store import recorded, recorded_code
from fitgap.store.recorded import RecordedRun
from fitgap.tag_names import DATASET_TAG
from fitgap.training import backend
from fitgap.trust import models

if TYPE_CHECKING:
    import keras


def load_model(run: RecordedRun, *, trusted: Collection[str] = ()) -> "keras.Model":
    """Load a run's network with the weights that its figures belong to; not compiled.

    Own classes of layers are taken from the project folder if they are as they were recorded.

    Parameters
    ----------
    run
        Of the record.
    trusted
        Own modules that may be taken as they are recorded.

    Raises
    ------
    RequestError
        If it is missing or damaged, or would run code.
    """
    with contextlib.suppress(RequestError):  # a notebook may have started it with more threads
        backend.start(1)
    import keras

    from fitgap.models import own_objects

    def opened(path: Path, custom_objects: Mapping[str, Any] | None = None) -> "keras.Model":
        # A model that its function had compiled is in the saved one with its optimizer.
        with models.bounded(path), rows.any_names(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
            return keras.saving.load_model(
                path, compile=False, safe_mode=True, custom_objects=custom_objects
            )

    with recorded.model_file(run) as path:
        try:
            if not recorded_code.own_modules(run):
                return opened(path)
            with contextlib.suppress(Exception):  # most networks need no own code
                return opened(path)
            with recorded_code.imported(run, trusted=trusted) as modules:
                return opened(path, own_objects.named_in(modules))
        except RequestError:
            raise
        except Exception as error:  # a damaged file may trip Keras, zipfile or HDF5 anywhere
            raise RequestError(
                f"the model of run {run.run_id} cannot be read: {first_line(error)}"
            ) from error


def load_dataset(run: RecordedRun, *, trusted: Collection[str] = ()) -> Dataset:
    """Load the data that a run was trained and tested on.

    Parameters
    ----------
    run
        Of the record.
    trusted
        Modules whose function may be called, where one returns the data; see `load_model`.

    Raises
    ------
    RequestError
        If they are missing, are not the same bytes, or a function that a record may not
        name returns them.
    """
    recorded_code.check_targets(asdict(run.dataset), run, trusted=trusted)
    limit = run.config.training.memory_limit_mb
    dataset = datasets.load(run.dataset, memory_limit_mb=limit, split=run.config.split)
    digest = run.tags.get(DATASET_TAG, "")
    if digest not in (dataset.digest, dataset.arrays_digest):
        raise RequestError(
            f"dataset={dataset.name} from {dataset.source} has changed since run {run.run_id}: "
            f"its digest is {dataset.digest[:8]}, recorded is {digest[:8] or 'none'}"
        )
    return dataset
