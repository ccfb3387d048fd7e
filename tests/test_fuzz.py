"""Any bytes where a file should be: each reader gives a result or names what is wrong.

``make fuzz`` tries many more, and others each time (FITGAP_FUZZ_EXAMPLES for each reader). What was
found stays in `FOUND`.
"""

import gzip
import io
import json
import os
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from fitgap.comparison import race_log
from fitgap.comparison.race import Rule
from fitgap.config.schema import (
    IdxConfig,
    ImageFolderConfig,
    MatConfig,
    NpzConfig,
    TableConfig,
)
from fitgap.data import datasets, published
from fitgap.data.images import read_image
from fitgap.errors import RequestError
from fitgap.identity import keras_settings
from fitgap.report import race_chart
from fitgap.search import storage
from fitgap.search.settings import SearchSettings
from fitgap.store import StoredRun, predictions, recorded_code, recorded_metrics
from fitgap.sweep import plan as sweep_plan
from fitgap.sweep import status
from fitgap.tag_names import CODE_TAG, METRICS_TAG, SEARCH_TAG
from fitgap.tracking import delivery, outbox
from fitgap.training import checkpoints
from fitgap.trust import models, overrides
from fitgap.trust import settings as recorded_settings

EXAMPLES = int(os.environ.get("FITGAP_FUZZ_EXAMPLES", "0"))
fuzz = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name.replace("__", "."), content)
    return file.getvalue()


def header(shape, dtype="<f4"):
    """Return an array's header that promises more than follows."""
    file = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


def png():
    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(file, "PNG")
    return file.getvalue()


def matlab():
    file = io.BytesIO()
    savemat(file, {"X": np.arange(24.0).reshape(8, 3), "y": np.arange(8)[:, None] % 2})
    return file.getvalue()


def matlab_7_3():
    """Return HDF5 behind 512 bytes."""
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as opened:
        opened["X"], opened["y"] = np.arange(24.0).reshape(3, 8), np.arange(8)[None] % 2
    return file.getvalue()


def parquet():
    file = io.BytesIO()
    pd.DataFrame({"a": np.arange(12.0), "b": list("xyz") * 4, "label": [0, 1] * 6}).to_parquet(file)
    return file.getvalue()


TRUE = np.arange(6) % 3
ABOUT = json.dumps({"epochs": [{"number": 1}], "callbacks": [{}], "stopped": False})
PLAN = sweep_plan.to_json(
    sweep_plan.SweepPlan(
        ["hydra/launcher=joblib"],
        ["seed=0,1"],
        2,
        True,
        [sweep_plan.PlannedJob("a", "b", ["seed=0"], None)],
    )
).encode()
VALID = {
    "settings": b"seed: 0\ndataset: {name: digits}\narchitecture: {_target_: keras.layers.Dense}\n",
    "plan": PLAN,
    "predictions": npz(test_true=TRUE, test_predicted=TRUE, test_confidence=np.ones(6, np.float32)),
    "checkpoint": npz(about=np.array(ABOUT), **{"state.0": np.zeros(3)}),
    "outbox": json.dumps({"kind": "batch", "content": {"tags": {"a": "b"}}}).encode(),
    "idx": gzip.compress(struct.pack(">HBBII", 0, 8, 2, 2, 3) + bytes(6)),
    "npz": npz(
        x_train=np.zeros((8, 4), np.float32),
        y_train=np.arange(8) % 2,
        x_test=np.ones((4, 4), np.float32),
        y_test=np.arange(4) % 2,
    ),
    "csv": b"a,b,label\n" + b"".join(b"%d,%d,%d\n" % (n, n * n, n % 2) for n in range(12)),
    "image": png(),
    "model": archive(
        config__json='{"module": "keras", "class_name": "Sequential", "config": {"layers": []}}',
        metadata__json="{}",
        model__weights__h5=b"\x89HDF\r\n\x1a\n" + bytes(100),
    ),
    "mat": matlab(),
    "mat_7_3": matlab_7_3(),
    "parquet": parquet(),
    "zip": archive(**{f"{name}/{i}.png": png() for name in "ab" for i in range(2)}),
    "metadata": b"file_name,label\n0.png,a\n1.png,b\n2.png,a\n3.png,b\n",
    "journal": b'{"op_code": 0, "worker_id": "x", "study_name": "s", "directions": [2]}\n',
}
VALID["own_idx"] = VALID["idx"]
VALID["race"] = json.dumps(
    {
        "names": ["adam", "sgd"],
        "metric": "val/accuracy",
        "covers": "splits",
        "rule": {"candidates": 2, "margin": 0.005, "alpha": 0.05, "higher_is_better": True},
        "rounds": [{"values": {"0": 0.9, "1": 0.8 + i / 100}, "overlap": 0.25} for i in range(4)],
    }
).encode()
VALID["metrics"] = json.dumps(
    [{"name": "rmse", "direction": -1, "bounds": [0, None], "phrase": "error", "is_share": False}]
).encode()
VALID["code"] = json.dumps({"own code nets": "0123456789ab", "loop": "ba9876543210"}).encode()
VALID["search"] = json.dumps({"n_trials": 20, "fixed": ["seed=0"]}).encode()
VALID["keras"] = b'{"floatx": "float32", "epsilon": 1e-07, "backend": "tensorflow"}\n'
# Found by hand or by this test, and mended.
FOUND = {
    "predictions": [
        # A member whose own header says that its name is 512 bytes long.
        VALID["predictions"][:26] + b"\x00\x02" + VALID["predictions"][28:],
        archive(test_true__npy=header((10**14,))),
        archive(test_true__npy=header((3,), "|O") + b"cos\nsystem\n(S'true'\ntR."),
        npz(test_true=TRUE, test_predicted=TRUE, test_confidence=np.array(["a"] * 6)),
        # A table of which class was taken for which would fill the memory.
        npz(test_true=TRUE + 2**60, test_predicted=TRUE, test_confidence=np.ones(6)),
        npz(test_true=TRUE, test_predicted=TRUE + 10**9, test_confidence=np.ones(6)),
        # Headers that are no Python: NumPy's own error for them is none of a value.
        archive(test_true__npy=b"\x93NUMPY\x01\x00\x10\x00{'descr': '<i8', \n"),
        archive(test_true__npy=b"\x93NUMPY\x01\x00\x06\x00  (\n (\n"),
    ],
    "checkpoint": [
        archive(about__npy=header((10**14,))),
        npz(about=np.array("[]")),
        npz(about=np.array('{"epochs": 3}')),
        npz(about=np.array(ABOUT), **{"callback.7.x.0": np.zeros(3)}),
        npz(about=np.array(ABOUT), nothing=np.zeros(3)),
        npz(about=np.array([ABOUT])),
        npz(about=np.zeros((), "V8")),
        archive(about__npy=b"\x93NUMPY\x01\x00\x10\x00{'descr': '<i8', \n"),
    ],
    "npz": [
        archive(x_train__npy=header((10**14, 4)), y_train__npy=header((10**14,), "<i8")),
        archive(x_train__npy=b"\x93NUMPY\x01\x00\xff\xff{", y_train__npy=b""),
    ],
    "idx": [gzip.compress(struct.pack(">HBB", 0, 8, 255) + b"\xff" * 4 * 255)],
    "own_idx": [gzip.compress(struct.pack(">HBB", 0, 8, 255) + b"\xff" * 4 * 255)],
    "model": [
        archive(config__json="[" * 100_000, model__weights__h5=b"x"),
        archive(config__json=b"\xff\xfe", model__weights__h5=b"x"),
        archive(**{"../../evil": b"x"}),
    ],
    "settings": [b"a: " + b"[" * 5_000, b"? [a]\n: b", b"a: 2001-99-99", b"\xff"],
    "plan": [b"[" * 100_000, b'{"jobs": [{"name": 3}]}', b"\xff", b'{"jobs": null}'],
    "race": [
        b"[" * 100_000,
        VALID["race"].replace(b"0.9", b"1" + b"0" * 400),
        VALID["race"].replace(b"0.9", b"1e300"),  # whose square is no float
        VALID["race"].replace(b"0.25", b"1e300"),
        VALID["race"].replace(b"0.005", b"NaN"),
        VALID["race"].replace(b'["adam", "sgd"]', json.dumps(["a"] * 10**6).encode()),
        b" " * 10_000_001,
    ],
    "metrics": [b"[" * 100_000, VALID["metrics"].replace(b"[0,", b"[1" + b"0" * 400 + b",")],
    "code": [b"[" * 100_000, b"[]"],
    "keras": [b"[" * 100_000, b"[]"],
    "search": [b"[" * 100_000, b'{"n_trials": Infinity}'],
    "journal": [
        b"[]\n",
        b'{"op_code": 99}\n',
        b'{"op_code": 0}\n',
        b"3\n",
        b"\xff\n",
        b"[" * 3_000 + b"\n",
    ],
    "csv": [
        b"a,label\n" + b'"' * 1_000,
        b"\x00" * 100,
        b"a,a,label\n1,2,3\n",
        b"a,b\r1,label\n1,2,3\n",
    ],
    "outbox": [b"[]", b"{}", b'{"kind": 3, "content": 4}'],
    "mat": [matlab()[:150], b"\x00" * 30],
    "mat_7_3": [b"\x01" + matlab_7_3()[1:], matlab_7_3()[:700]],
    "zip": [archive(a__png=png() * 20).replace(b"IDAT", b"\xff" * 4), b"PK\x05\x06" + bytes(18)],
    "metadata": [b"\x00", b"file_name\n0.png\n", b"file_name,label\n" + b'"' * 1_000],
    "image": [b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 2**31 - 1, 2**31 - 1)],
}


def read_settings(path: Path) -> None:
    plain = recorded_settings.read(path.read_text(errors="replace"), what="config.yaml")
    recorded_settings.check_types(plain, what="config.yaml")


def read_plan(path: Path) -> None:
    try:
        plan = sweep_plan.from_json(path.read_text(errors="replace"))
    except ValueError:  # `status.read_plan` names the sweep
        return
    overrides.check([*plan.hydra, *plan.task], what="plan.json")


def read_predictions(path: Path) -> None:
    path.replace(path.with_name(predictions.FILE_NAME))
    run = StoredRun("r", "", "FINISHED", 0, {}, {}, {}, artifact_uri=path.parent.as_uri())
    predictions.load(run, uri="")


def read_checkpoint(path: Path) -> None:
    path.replace(path.with_name("c.npz"))
    checkpoints.load(path.with_name("c"))
    checkpoints.epochs_done(path.with_name("c"))


def read_outbox(path: Path) -> None:
    folder = path.parent / "run"
    folder.mkdir(exist_ok=True)
    path.replace(folder / "000001.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "folder_for", lambda _: path.parent)
        patch.setattr(delivery, "client_for", lambda _: None)
        delivery.deliver_waiting("http://127.0.0.1:9")
    assert not folder.exists()
    for left in path.parent.glob("*.refused*"):
        left.rename(path.parent / f"seen{len(list(path.parent.iterdir()))}")


def read_idx(path: Path) -> None:
    path = path.rename(path.with_suffix(".gz"))
    published.read_files("fashion_mnist", [path] * 4)


def read_own_idx(path: Path) -> None:
    labels = gzip.compress(struct.pack(">HBBI", 0, 8, 1, 2) + bytes([0, 1]))
    path.rename(path.with_name("train-images-idx3-ubyte.gz"))
    path.with_name("train-labels-idx1-ubyte.gz").write_bytes(labels)
    datasets.load(IdxConfig(name="idx", path=str(path.parent), test_fraction=0.5, test_seed=0))


def read_npz(path: Path) -> None:
    path = path.rename(path.with_suffix(".npz"))
    datasets.load(NpzConfig(name="npz", path=str(path), test_fraction=0.25, test_seed=0))


def read_mat(path: Path) -> None:
    path = path.rename(path.with_suffix(".mat"))
    datasets.load(MatConfig(name="mat", path=str(path), test_fraction=0.25, test_seed=0))


def load_images(path: Path) -> None:
    settings = {"image_size": [8, 8], "channels": 1, "test_fraction": 0.5, "test_seed": 0}
    datasets.load(ImageFolderConfig(name="image_folder", path=str(path), **settings))


def read_zip(path: Path) -> None:
    load_images(path.rename(path.with_suffix(".zip")))


def read_metadata(path: Path) -> None:
    path.rename(path.with_name("metadata.csv"))
    for i in range(4):
        path.with_name(f"{i}.png").write_bytes(png())
    load_images(path.parent)


def read_csv(path: Path) -> None:
    read_table(path.rename(path.with_suffix(".csv")))


def read_parquet(path: Path) -> None:
    read_table(path.rename(path.with_suffix(".parquet")))


def read_table(path: Path) -> None:
    config = TableConfig(name="csv", path=str(path), test_fraction=0.25, test_seed=0, label="label")
    datasets.load(config)


def read_picture(path: Path) -> None:
    assert read_image(path, shape=(8, 8)).shape == (8, 8)


def read_model(path: Path) -> None:
    try:
        models.check(path)
    except (OSError, *models.DAMAGE):  # `recorded.model_file` names the run
        return


def read_journal(path: Path) -> None:
    path = path.rename(path.with_suffix(".journal"))
    with storage.opened(path, settings=SearchSettings(), space=[]) as study:
        assert study.trials is not None


def read_race(path: Path) -> None:
    uri = f"sqlite:///{path.parent}/mlflow.db"
    race_log.write(race_log.Log((), "", "", Rule(2, 0.1), ()), uri=uri, experiment="a")
    (stored,) = path.parent.rglob("*.json")
    path.replace(stored)
    log = race_log.read(uri=uri, experiment="a")
    assert len(log.by_round()) == len(log.rounds)
    assert log.word
    if log.rounds:
        race_chart.draw(log).spec()


def stored_with(path: Path, tag: str) -> StoredRun:
    text = path.read_text(errors="replace")
    return StoredRun("r", "", "FINISHED", 0, {}, {"val/rmse": 1.0}, {tag: text}, artifact_uri="")


def read_metrics(path: Path) -> None:
    run = stored_with(path, METRICS_TAG)
    name = recorded_metrics.primary_metric([run])
    recorded_metrics.higher_is_better(f"val/{name}", [run])
    recorded_metrics.known_metric(name, [run])


def read_code(path: Path) -> None:
    recorded_code.fingerprints(stored_with(path, CODE_TAG))


def read_search(path: Path) -> None:
    run = stored_with(path, SEARCH_TAG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(status.store, "artifact_text", lambda *_, **__: run.tags[SEARCH_TAG])
        assert status.number_of_trials("", status.Sweep("a", run)) is not None


def read_keras(path: Path) -> None:
    path.rename(path.with_name("keras.json"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "keras", raising=False)
        patch.setenv("KERAS_HOME", str(path.parent))
        assert keras_settings()


READERS = {
    "race": read_race,
    "metrics": read_metrics,
    "code": read_code,
    "search": read_search,
    "keras": read_keras,
    "settings": read_settings,
    "plan": read_plan,
    "predictions": read_predictions,
    "checkpoint": read_checkpoint,
    "outbox": read_outbox,
    "idx": read_idx,
    "own_idx": read_own_idx,
    "npz": read_npz,
    "mat": read_mat,
    "mat_7_3": read_mat,
    "zip": read_zip,
    "metadata": read_metadata,
    "csv": read_csv,
    "parquet": read_parquet,
    "image": read_picture,
    "model": read_model,
    "journal": read_journal,
}


def unpacked(whole):
    """Return the parts of a packed file, each by its name, and what packs them again."""
    if whole.startswith(b"PK\x03"):
        with zipfile.ZipFile(io.BytesIO(whole)) as opened:
            parts = {name.replace(".", "__"): opened.read(name) for name in opened.namelist()}
        return parts, lambda parts: archive(**parts)
    if whole.startswith(b"\x1f\x8b"):
        return {"": gzip.decompress(whole)}, lambda parts: gzip.compress(parts[""])
    return {"": whole}, lambda parts: parts[""]


@st.composite
def damaged(draw, whole):
    """Give bytes, most of them nearly those of a file that can be read.

    Of packed files what is inside, so that their checksums are right.
    """
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=300))
    parts, pack = unpacked(whole) if draw(st.booleans()) else ({"": whole}, lambda it: it[""])
    name = draw(st.sampled_from(sorted(parts)))
    return pack(parts | {name: draw(changed(parts[name]))})


@st.composite
def changed(draw, whole):
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "set", "cut", "insert", "double", "drop"]))
        if kind == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and content:
            content[at] = draw(st.sampled_from([0, 255, 128, 10, 34, 45, 92]))
        elif kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=12))
        elif kind == "double":
            content += content[at : at + 64]
        else:
            del content[at : at + draw(st.integers(1, 16))]
    return bytes(content)


def answers(reader, content, folder, capsys):
    """Have a reader read; whatever it raises but `RequestError` fails the test."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "file"
    path.write_bytes(content)
    message = "read"
    try:
        READERS[reader](path)
    except RequestError as error:
        message = str(error)
    assert 0 < len(message) < 2_000
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.filterwarnings("ignore")  # of libraries, on what they read
def test_any_bytes_are_answered(reader, tmp_path, capsys):
    @fuzz
    @given(damaged(VALID[reader]))
    @example(VALID[reader])
    @example(b"")
    def check(content):
        answers(reader, content, tmp_path, capsys)

    check()


@pytest.mark.parametrize(
    ("reader", "number"), [(name, i) for name, found in FOUND.items() for i in range(len(found))]
)
@pytest.mark.filterwarnings("ignore")
def test_what_was_found_is_answered(reader, number, tmp_path, capsys):
    answers(reader, FOUND[reader][number], tmp_path, capsys)


@pytest.mark.parametrize("reader", sorted(set(READERS) - {"model", "journal", "own_idx"}))
def test_the_whole_file_is_read(reader, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(VALID[reader])
    READERS[reader](path)
