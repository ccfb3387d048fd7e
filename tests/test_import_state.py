"""Importing a module of the package changes nothing of the process."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from fitgap.errors import RequestError
from fitgap.training import backend

SOURCE = Path(__file__).parents[1] / "src"

STATE = """
import json, logging, os, sys, warnings

def state():
    return {
        "environment": dict(os.environ),
        "warnings": [str(each) for each in warnings.filters],
        "loggers": {n: logging.getLogger(n).level for n in ("mlflow", "mlflow.store.db.utils")},
    }

import altair, mlflow, numpy, pandas, sklearn.metrics, sqlalchemy
import keras
import fitgap
before = state()
from importlib import import_module
for name in sys.argv[1:]:
    import_module(name)
after = state()
print(json.dumps([[k, before[k], after[k]] for k in before if before[k] != after[k]]))
"""


def test_importing_a_module_changes_no_global_state():
    names = [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((SOURCE / "fitgap").rglob("*.py"))
        # A module that exists to have workers forked from it: importing is all that it does.
        if path.stem != "worker_imports"
    ]
    done = subprocess.run(
        [sys.executable, "-c", STATE, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_keras_has_all_its_parts_and_executes_the_seldom_used_when_asked_for():
    program = """
import sys
from fitgap.training import backend
backend.load()
import keras
assert "sklearn" not in sys.modules, "scikit-learn was imported"
assert "matplotlib.pyplot" not in sys.modules, "matplotlib was imported"
model = keras.wrappers.SKLearnClassifier(keras.Sequential())
assert "sklearn" in sys.modules and hasattr(model, "get_params")
assert callable(keras.visualization.plot_image_gallery)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("where", ["the environment", "Keras's own file"])
def test_keras_runs_on_tensorflow_whatever_is_set_elsewhere(where, tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    named = {"KERAS_BACKEND": "jax"} if where == "the environment" else {}
    others = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    program = """
from fitgap.training import backend
backend.load()
import keras
assert keras.backend.backend() == "tensorflow"
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**others, **named, "KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_process_whose_keras_runs_on_another_backend_is_refused(monkeypatch):
    other = types.SimpleNamespace(backend=types.SimpleNamespace(backend=lambda: "torch"))
    monkeypatch.setitem(sys.modules, "keras", other)
    with pytest.raises(RequestError, match="runs Keras on torch"):
        backend.load()


def test_tensorflow_that_was_imported_before_says_nothing_of_the_machine():
    program = """
import os
os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
import sys
import tensorflow as tf
sys.stderr.flush()
print("from here", file=sys.stderr, flush=True)
from fitgap.training import backend
backend.start(1)
tf.function(lambda x: x * x, jit_compile=True)(tf.ones(3))
assert tf.config.threading.get_intra_op_parallelism_threads() == 1
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.partition("from here\n")[2] == ""
