"""Verdicts and main effects in the terminal and in files, on a record of made-up runs."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console

from fitgap.comparison.ranking import compare_experiment
from fitgap.config import project
from fitgap.errors import RequestError
from fitgap.report.terminal_details import effects_text, gaps_text, print_effects, print_gaps
from fitgap_lab.benchmark import generated_runs

COMPARE = project.CHECKOUT / "scripts" / "compare.py"
RUNS = 300


@pytest.fixture(scope="module")
def record(template_database, tmp_path_factory):
    path = shutil.copy(template_database, tmp_path_factory.mktemp("generated") / "mlflow.db")
    generated_runs.fill(f"sqlite:///{path}", runs=RUNS)
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def comparison(record):
    return compare_experiment(record, experiment=generated_runs.EXPERIMENT)


def test_made_up_runs_are_as_many_as_asked_and_some_failed(comparison):
    (section,) = comparison.sections
    assert sum(len(group.runs) for group in section.groups) == RUNS - RUNS // 100
    assert len(section.groups) == RUNS // 3


def test_made_up_runs_do_not_go_into_an_existing_file(tmp_path):
    path = tmp_path / "mlflow.db"
    path.touch()
    with pytest.raises(RequestError, match="must name a new file"):
        generated_runs.write(path, runs=1)


@pytest.mark.parametrize("width", [80, 132])
def test_views_are_no_wider_than_the_terminal(comparison, record, width):
    console = Console(file=io.StringIO(), width=width)
    print_gaps(comparison, uri=record, console=console, limit=5)
    print_effects(comparison, console=console)
    text = console.file.getvalue()
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "Groups not shown: 95" in text
    assert "◆" in text
    assert "optimizer.learning_rate" in "".join(text.split())


def test_every_form_of_the_gaps_has_a_line_per_group(comparison, record):
    plain = json.loads(gaps_text(comparison, uri=record, form="json"))
    rows = list(csv.DictReader(io.StringIO(gaps_text(comparison, uri=record, form="csv"))))
    assert len(plain) == len(rows) == 100
    assert {one["verdict"] for one in plain} <= {
        "fits",
        "overfitting",
        "underfitting",
        "not converged",
    }
    assert [row["verdict"] for row in rows] == [one["verdict"] for one in plain]
    assert gaps_text(comparison, uri=record, form="markdown", limit=5).count("\n| ") == 1 + 5


def test_every_form_of_the_effects_has_a_line_per_setting_and_metric(comparison):
    plain = json.loads(effects_text(comparison, form="json"))
    rows = list(csv.DictReader(io.StringIO(effects_text(comparison, form="csv"))))
    assert [(one["setting"], one["metric"]) for one in plain] == [
        (row["setting"], row["metric"]) for row in rows
    ]
    assert {one["metric"] for one in plain} == {"val/accuracy", "gap/accuracy"}
    assert "| setting |" in effects_text(comparison, form="markdown")


def test_a_reader_that_goes_away_is_no_error(record):
    command = [sys.executable, str(COMPARE), "--uri", record, "--experiment", "generated"]
    with subprocess.Popen(
        [*command, "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "default"},
        text=True,
    ) as process:
        assert process.stdout.readline() == "[\n"
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait(60) == 0
