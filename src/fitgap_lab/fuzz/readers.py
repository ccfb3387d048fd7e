"""What reads files that a person or a store brings, each as a function of a file's path.

A reader may rename its file; it must raise nothing but `RequestError`.
"""

import contextlib
import gzip
import io
import os
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock, patch

from fitgap import rerun, store
from fitgap.comparison import race_log
from fitgap.comparison.race import Rule
from fitgap.config.schema import (
    IdxConfig,
    ImageFolderConfig,
    MatConfig,
    NpzConfig,
    TableConfig,
)
from fitgap.console import MOST_CHARACTERS
from fitgap.data import datasets, mat, published
from fitgap.data.images import read_image
from fitgap.errors import RequestError, first_line
from fitgap.identity import keras_settings
from fitgap.prediction import loading
from fitgap.report import race_chart
from fitgap.search import storage
from fitgap.search.settings import SearchSettings
from fitgap.store import StoredRun, predictions, recorded, recorded_code, recorded_metrics
from fitgap.store.recorded import RecordedRun
from fitgap.sweep import plan as sweep_plan
from fitgap.sweep import status
from fitgap.tag_names import CODE_TAG, METRICS_TAG, SEARCH_TAG
from fitgap.tracking import delivery, outbox
from fitgap.training import checkpoints
from fitgap.trust import models, overrides
from fitgap.trust import settings as recorded_settings
from fitgap_lab.fuzz.examples import png


def answer(reader: str, content: bytes) -> None:
    """Have a reader read bytes, in a folder of its own.

    Parameters
    ----------
    reader
        By its name in `READERS`.
    content
        Of the file.

    Raises
    ------
    AssertionError
        If it refuses them with no message, an endless one, or a traceback.
    Exception
        Whatever it raises besides `RequestError`.
    """
    message, said = "read", io.StringIO()
    with (
        tempfile.TemporaryDirectory(prefix="fitgap-fuzz-") as folder,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        path = Path(folder) / "file"
        path.write_bytes(content)
        try:
            READERS[reader](path)
        except RequestError as error:
            message = str(error)
    assert 0 < len(message) <= 2 * MOST_CHARACTERS, f"a message of {len(message)} letters"
    assert "Traceback" not in said.getvalue(), said.getvalue()


def _read_settings(path: Path) -> None:
    plain = recorded_settings.read(path.read_text(errors="replace"), what="config.yaml")
    recorded_settings.check_types(plain, what="config.yaml")


def _read_plan(path: Path) -> None:
    try:
        plan = sweep_plan.from_json(path.read_text(errors="replace"))
    except ValueError:  # `status.read_plan` names the sweep
        return
    overrides.check([*plan.hydra, *plan.task], what="plan.json")


def _read_predictions(path: Path) -> None:
    path.replace(path.with_name(predictions.FILE_NAME))
    run = StoredRun("r", "", "FINISHED", 0, {}, {}, {}, artifact_uri=path.parent.as_uri())
    predictions.load(run, uri="")


def _read_checkpoint(path: Path) -> None:
    path.replace(path.with_name("c.npz"))
    checkpoints.load(path.with_name("c"))
    checkpoints.epochs_done(path.with_name("c"))
    checkpoints.last_epoch(path.with_name("c"))


def _read_outbox(path: Path) -> None:
    folder = path.parent / "run"
    folder.mkdir(exist_ok=True)
    path.replace(folder / "000001.json")
    with (
        patch.object(outbox, "folder_for", lambda _: path.parent),
        patch.object(delivery, "client_for", lambda _: None),
    ):
        delivery.deliver_waiting("http://127.0.0.1:9")
    assert not folder.exists()


def _read_idx(path: Path) -> None:
    path = path.rename(path.with_suffix(".gz"))
    published.read_files("fashion_mnist", [path] * 4)


def _read_own_idx(path: Path) -> None:
    labels = gzip.compress(struct.pack(">HBBI", 0, 8, 1, 2) + bytes([0, 1]))
    path.rename(path.with_name("train-images-idx3-ubyte.gz"))
    path.with_name("train-labels-idx1-ubyte.gz").write_bytes(labels)
    datasets.load(IdxConfig(name="idx", path=str(path.parent), test_fraction=0.5, test_seed=0))


def _read_npz(path: Path) -> None:
    path = path.rename(path.with_suffix(".npz"))
    datasets.load(NpzConfig(name="npz", path=str(path), test_fraction=0.25, test_seed=0))


def _read_mat(path: Path) -> None:
    path = path.rename(path.with_suffix(".mat"))
    datasets.load(MatConfig(name="mat", path=str(path), test_fraction=0.25, test_seed=0))


def _read_mat_7_3(path: Path) -> None:
    """Read it as HDF5, whatever its first bytes are: others are read by another process, slowly."""
    content = path.read_bytes()
    path.write_bytes(content[:512].ljust(512) + mat.HDF5 + content[512 + len(mat.HDF5) :])
    _read_mat(path)


def _load_images(path: Path) -> None:
    datasets.load(
        ImageFolderConfig(
            name="image_folder",
            path=str(path),
            image_size=[8, 8],
            channels=1,
            test_fraction=0.5,
            test_seed=0,
        )
    )


def _read_zip(path: Path) -> None:
    _load_images(path.rename(path.with_suffix(".zip")))


def _read_metadata(path: Path) -> None:
    path.rename(path.with_name("metadata.csv"))
    for i in range(4):
        path.with_name(f"{i}.png").write_bytes(png())
    _load_images(path.parent)


def _read_csv(path: Path) -> None:
    _read_table(path.rename(path.with_suffix(".csv")))


def _read_parquet(path: Path) -> None:
    _read_table(path.rename(path.with_suffix(".parquet")))


def _read_table(path: Path) -> None:
    config = TableConfig(name="csv", path=str(path), test_fraction=0.25, test_seed=0, label="label")
    datasets.load(config)


def _read_picture(path: Path) -> None:
    assert read_image(path, shape=(8, 8)).shape == (8, 8)


def _read_model(path: Path) -> None:
    try:
        models.check(path)
    except (OSError, *models.DAMAGE):  # `recorded.model_file` names the run
        return
    rerun.read_arrays(path)


def _read_network(path: Path) -> None:
    path = path.rename(path.with_suffix(".keras"))

    @contextlib.contextmanager
    def checked(_: RecordedRun) -> Iterator[Path]:
        try:
            models.check(path)
        except (OSError, *models.DAMAGE) as error:
            raise RequestError(first_line(error)) from error
        yield path

    run = Mock(RecordedRun, run_id="r", tags={})
    with patch.object(recorded, "model_file", checked):
        loading.load_model(run)


def _read_journal(path: Path) -> None:
    path = path.rename(path.with_suffix(".journal"))
    settings = SearchSettings(metrics=["val/accuracy"], directions=["minimize"])
    with storage.opened(path, settings=settings, space=[]) as study:
        assert study.trials is not None


def _read_race(path: Path) -> None:
    uri = f"sqlite:///{path.parent}/mlflow.db"
    race_log.write(race_log.Log((), "", "", Rule(2, 0.1), ()), uri=uri, experiment="a")
    (stored,) = path.parent.rglob("*.json")
    path.replace(stored)
    log = race_log.read(uri=uri, experiment="a")
    assert len(log.by_round()) == len(log.rounds)
    assert log.word
    if log.rounds:
        race_chart.draw(log).spec()


def _stored_with(path: Path, tag: str) -> StoredRun:
    text = path.read_text(errors="replace")
    return StoredRun("r", "", "FINISHED", 0, {}, {"val/rmse": 1.0}, {tag: text}, artifact_uri="")


def _read_metrics(path: Path) -> None:
    run = _stored_with(path, METRICS_TAG)
    name = recorded_metrics.primary_metric([run])
    recorded_metrics.higher_is_better(f"val/{name}", [run])
    recorded_metrics.known_metric(name, [run])


def _read_code(path: Path) -> None:
    recorded_code.fingerprints(
        Mock(RecordedRun, run_id="r", tags=_stored_with(path, CODE_TAG).tags)
    )


def _read_search(path: Path) -> None:
    run = _stored_with(path, SEARCH_TAG)
    with patch.object(store, "artifact_text", lambda *_, **__: run.tags[SEARCH_TAG]):
        assert status.number_of_trials("", status.Sweep("a", run)) is not None


def _read_keras(path: Path) -> None:
    path.rename(path.with_name("keras.json"))
    loaded = {name: module for name, module in sys.modules.items() if name != "keras"}
    with (
        patch.dict(sys.modules, loaded, clear=True),
        patch.dict(os.environ, {"KERAS_HOME": str(path.parent)}),
    ):
        assert keras_settings()


READERS: dict[str, Callable[[Path], None]] = {
    "race": _read_race,
    "metrics": _read_metrics,
    "code": _read_code,
    "search": _read_search,
    "keras": _read_keras,
    "settings": _read_settings,
    "plan": _read_plan,
    "predictions": _read_predictions,
    "checkpoint": _read_checkpoint,
    "outbox": _read_outbox,
    "idx": _read_idx,
    "own_idx": _read_own_idx,
    "npz": _read_npz,
    "mat": _read_mat,
    "mat_7_3": _read_mat_7_3,
    "zip": _read_zip,
    "metadata": _read_metadata,
    "csv": _read_csv,
    "parquet": _read_parquet,
    "image": _read_picture,
    "model": _read_model,
    "network": _read_network,
    "journal": _read_journal,
}
