"""What a run or a sweep says as it ends."""

import os
import pty
import shlex
import subprocess
import sys

import pytest

from fitgap import experiment
from fitgap.commands import exit_codes
from fitgap.commands.overrides import for_hydra
from fitgap.config import program, project
from fitgap.errors import RequestError
from fitgap.store import base
from fitgap.sweep import endings, plan


def test_figures_say_train_val_gap_and_test():
    metrics = {
        "train/accuracy": 0.9,
        "val/loss": 0.4,
        "val/accuracy": 0.8,
        "test/accuracy": 0.75,
        "gap/accuracy": 0.1,
        "test_gap/accuracy": 0.15,
    }
    said = endings.figures(metrics)
    assert said == (
        "train/accuracy 0.9000, val/accuracy 0.8000, gap/accuracy +0.1000, test/accuracy 0.7500"
    )


def test_without_validation_the_gap_is_the_test_sets():
    metrics = {"train/accuracy": 0.9, "test/accuracy": 0.75, "test_gap/accuracy": 0.15}
    said = endings.figures(metrics)
    assert said == "train/accuracy 0.9000, test/accuracy 0.7500, test_gap/accuracy +0.1500"


def test_a_regression_says_its_own_metric():
    metrics = {"train/rmse": 1.0, "val/loss": 2.25, "val/rmse": 1.5, "gap/rmse": 0.5}
    said = endings.figures(metrics, "rmse")
    assert said == "train/rmse 1.0000, val/rmse 1.5000, gap/rmse +0.5000"


def test_a_run_ends_with_figures_folder_and_commands_that_name_it(train, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    ended = train("training.epochs=1", "architecture=dense_softmax")
    assert ended.code == 0
    lines = ended.out.splitlines()
    figures = next(line for line in lines if line.startswith("train/accuracy "))
    assert ", val/accuracy 0." in figures
    assert ", test/accuracy 0." in figures
    run_id = next(line for line in lines if line.startswith("run ")).split()[1]
    folder = next(line for line in lines if line.startswith("files:")).partition(" ")[2].strip()
    assert os.path.isfile(os.path.join(folder, "history.csv"))  # noqa: PTH113, PTH118
    assert f"{program.name()} plot run {run_id[:8]}" in ended.out
    assert f"{program.name()} predict {run_id[:8]}" in ended.out
    again = train("training.epochs=1", "architecture=dense_softmax")
    assert figures in again.out


def test_commands_name_the_experiment_only_where_it_is_not_the_projects(compose, tracking_uri):
    usual, other = (
        experiment.plan(compose(f"tracking.uri={tracking_uri}", f"tracking.experiment={name}"))
        for name in (project.experiment(), "of two words")
    )
    assert not any("--experiment" in line for line in endings.of_sweep(usual))
    for line in endings.of_sweep(other):
        assert "--experiment 'of two words' --uri" in line


def test_a_stopped_run_says_what_is_kept(compose, tracking_uri, monkeypatch, capsys):
    planned = experiment.plan(compose(f"tracking.uri={tracking_uri}", "training.epochs=60"))
    command = f"  {program.name()} train training.epochs=60 'tags.why=a b'\n"
    for epochs, said in (
        (0, "stopped before an epoch had ended, so nothing is kept; the same command starts again"),
        (4, "kept: 4 of 60 epochs; the same command continues from there"),
    ):
        monkeypatch.setattr(endings.checkpoints, "epochs_done", lambda _path, n=epochs: n)
        endings.say_run_stopped(planned, ["training.epochs=60", "tags.why=a b"])
        assert capsys.readouterr().err == f"\n{said}:\n{command}"


def test_a_stopped_search_says_its_own_command_whose_batches_are_the_same(capsys):
    words = ["hydra/sweeper=optuna", "name=a b"]
    endings.say_search_stopped(3, of=20, command=words, uri="sqlite:////m.db")
    command = f"  {program.name()} train -m hydra/sweeper=optuna 'name=a b'\n"
    assert capsys.readouterr().err.endswith(f"the same command continues from there:\n{command}")


def test_a_printed_command_with_a_store_is_taken_as_it_is_and_tells_no_password(monkeypatch):
    uri = "postgresql://ada:s3cret@db.example/mlflow?sslmode=require"
    given = [f"tracking.uri='{uri}'", "name=a b", "training.callbacks.x.token=abcdefgh"]
    others = " 'name=a b' 'training.callbacks.x.token=***'"
    monkeypatch.setattr(base, "_OF_SHELL", None)
    bare = "postgresql://ada@db.example/mlflow?sslmode=require"
    for words in (given, plan.redacted(given)):  # as typed, and as a search has recorded them
        assert endings.as_words(words, uri=uri) == f"tracking.uri='{bare}'{others}"
    monkeypatch.setattr(base, "_OF_SHELL", uri)
    printed = endings.as_words(given, uri=uri)
    assert printed == f'tracking.uri="${{MLFLOW_TRACKING_URI:?}}"{others}'
    shell = ["/bin/sh", "-c", f"printf '%s\\n' {printed}"]
    same = {"MLFLOW_TRACKING_URI": uri}
    typed = subprocess.run(shell, env=same, capture_output=True, text=True, check=True).stdout
    (store_again, *_) = for_hydra(typed.splitlines()[:2])
    assert store_again == given[0]


def test_a_printed_command_with_another_store_is_as_it_was_given():
    given = ["+tracking.uri='sqlite:////a,b/m.db'", "tracking.uri=http://host:5000"]
    assert shlex.split(endings.as_words(given, uri="sqlite:////a,b/m.db")) == given


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("1", False)])
def test_an_errors_first_word_is_red_on_a_terminal(monkeypatch, no_color, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert exit_codes.report(RequestError("epochs must be [1, 2] or more")) == 2
        terminal.flush()
        said = os.read(ours, 1000).decode()
    os.close(ours)
    assert "epochs must be [1, 2] or more" in said
    assert ("\x1b[1;31m" in said) == coloured
