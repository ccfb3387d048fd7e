"""One readable file for each reader, from which damaged ones are made."""

import gzip
import io
import json
import struct
from typing import Any

import h5py
import numpy as np
import pandas as pd
from PIL import Image
from scipy.io import savemat

from fitgap.sweep import plan as sweep_plan
from fitgap_lab.fuzz.packed import archive, npz


def header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    """Return an array's header that promises more than follows."""
    file = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


def png() -> bytes:
    """Return a grey picture of 8 by 8 pixels."""
    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(file, "PNG")
    return file.getvalue()


def matlab() -> bytes:
    """Return a file of MATLAB's older form."""
    file = io.BytesIO()
    savemat(file, {"X": np.arange(24.0).reshape(8, 3), "y": np.arange(8)[:, None] % 2})
    return file.getvalue()


def matlab_7_3() -> bytes:
    """Return a file of MATLAB's newer form, which is HDF5 behind 512 bytes."""
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as opened:
        opened["X"], opened["y"] = np.arange(24.0).reshape(3, 8), np.arange(8)[None] % 2
    return file.getvalue()


def parquet() -> bytes:
    """Return a table in Parquet's form."""
    file = io.BytesIO()
    pd.DataFrame({"a": np.arange(12.0), "b": list("xyz") * 4, "label": [0, 1] * 6}).to_parquet(file)
    return file.getvalue()


def network() -> bytes:
    """Return a network in Keras's form: a dense layer of two units behind three inputs."""
    layers = [
        {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": [None, 3], "dtype": "float32", "name": "x"},
        },
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {"name": "dense", "units": 2, "activation": "relu"},
            "build_config": {"input_shape": [None, 3]},
        },
    ]
    described = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "net", "layers": layers},
        "build_config": {"input_shape": [None, 3]},
    }
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened["layers/dense/vars/0"] = np.ones((3, 2), np.float32)
        opened["layers/dense/vars/1"] = np.zeros(2, np.float32)
    return archive(
        {
            "metadata.json": json.dumps({"keras_version": "3.15.1"}),
            "config.json": json.dumps(described),
            "model.weights.h5": file.getvalue(),
        }
    )


ENDED = "2026-01-01T00:00:00+00:00"


def journal() -> bytes:
    """Return the file of a search with one trial that has ended, as Optuna writes it."""
    choice = {"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "adam"]}}
    lines: list[dict[str, Any]] = [
        {"op_code": 0, "study_name": "file", "directions": [1]},
        {"op_code": 4, "study_id": 0, "datetime_start": ENDED},
        {
            "op_code": 5,
            "trial_id": 0,
            "param_name": "optimizer",
            "param_value_internal": 0,
            "distribution": json.dumps(choice),
        },
        {"op_code": 7, "trial_id": 0, "step": 1, "intermediate_value": 0.5},
        {"op_code": 8, "trial_id": 0, "user_attr": {"batch": [0, 1]}},
        {"op_code": 8, "trial_id": 0, "user_attr": {"overrides": ["seed=0"]}},
        {"op_code": 6, "trial_id": 0, "state": 1, "values": [0.25], "datetime_complete": ENDED},
    ]
    return "".join(json.dumps({"worker_id": "w"} | line) + "\n" for line in lines).encode()


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
VALID: dict[str, bytes] = {
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
    "model": network(),
    "mat": matlab(),
    "mat_7_3": matlab_7_3(),
    "parquet": parquet(),
    "zip": archive({f"{name}/{i}.png": png() for name in "ab" for i in range(2)}),
    "metadata": b"file_name,label\n0.png,a\n1.png,b\n2.png,a\n3.png,b\n",
    "journal": journal(),
}
VALID["own_idx"] = VALID["idx"]
VALID["network"] = VALID["model"]
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
