"""What a sweep's parent run shows: note, leaderboard, report and pictures, whatever happened."""

import csv
from xml.etree import ElementTree

import pytest

from fitgap import store
from fitgap.comparison.groups import Comparison
from fitgap.comparison.ranking import compare
from fitgap.report import sweep_page
from fitgap.store import StoredRun

SMALL = ("architecture=dense_softmax", "training.epochs=1", "training.engine=numpy")
PICTURES = {"gap.svg"}  # curves need more than one epoch
TABLES = {"leaderboard.md", "leaderboard.csv", "leaderboard.json", "report.html"}


def run_of(optimizer, seed, accuracy, *, name="a run", status="FINISHED", digest="data", **tags):
    metrics = {"val/accuracy": accuracy, "gap/accuracy": 0.0125, "test/accuracy": 0.75}
    return StoredRun(
        run_id=f"{optimizer}{seed}{digest}",
        name=name,
        status=status,
        start_time=0,
        params={"optimizer.name": optimizer, "seed": str(seed), "dataset.name": "digits"},
        metrics=metrics,
        tags={"fitgap.role": "run", "fitgap.dataset_digest": digest, **tags},
    )


def test_sweep_shows_what_it_trained_and_what_was_finished_before(train, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert train("optimizer=sgd", "optimizer.learning_rate=0.1", *SMALL).code == 0
    assert train("optimizer=adam", *SMALL).code == 0  # not of the sweep
    done = train("-m", "optimizer=sgd", "optimizer.learning_rate=0.1,0.01,3e38", *SMALL)
    assert done.code == 1
    assert "warning" not in done.err
    (parent,) = store.find_runs(
        uri, experiment="fitgap", statuses=("FAILED",), tags={"fitgap.role": "sweep"}
    )
    folder = tmp_path / "mlartifacts" / parent.run_id / "artifacts"
    assert {path.name for path in folder.iterdir()} >= PICTURES | TABLES
    with (folder / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["optimizer.learning_rate"] for row in rows} == {"0.1", "0.01"}
    for name in PICTURES:
        root = ElementTree.parse(folder / name).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "<html" in (folder / "report.html").read_text()
    assert (parent.metrics["runs/finished"], parent.metrics["runs/failed"]) == (2, 1)
    best = max(float(row["val/accuracy_mean"]) for row in rows)
    assert parent.metrics["first/val/accuracy"] == best
    note = parent.tags["mlflow.note.content"]
    assert "Compared: 2 runs, 2 groups that differ in optimizer.learning_rate." in note
    assert "**Failed runs: 1**" in note
    assert "DivergedError" in note


def test_page_that_cannot_be_made_is_a_warning(capsys):
    sweep_page.publish("no such run", [])
    said = capsys.readouterr().err
    assert said.startswith("warning: the sweep's own page could not be made: ")
    assert len(said.splitlines()) == 1


def test_note_names_the_best_by_validation_and_its_one_test_figure():
    runs = [run_of("adam", seed, 0.9) for seed in (0, 1)] + [run_of("sgd", 0, 0.8)]
    text = sweep_page.note(compare(runs), failures=[], experiment="fitgap", files=["a.md"])
    assert "Compared: 3 runs, 2 groups that differ in optimizer." in text
    assert "**First by val/accuracy: adam**" in text
    assert text.count("test accuracy, not used to choose it: 0.7500") == 1
    rows = [line.split() for line in text.splitlines() if line.startswith("| ")][1:]
    ranks = [row[1].removesuffix("&emsp;") for row in rows]
    assert ranks == ["1", "2"]
    assert "`a.md`" in text


def test_text_of_any_kind_stays_text():
    failed = run_of(
        "adam", 0, 0.0, name="<b>이름</b> | *x*", **{"fitgap.failure": "two\nlines | `x`"}
    )
    text = sweep_page.note(Comparison((), ()), failures=[failed], experiment="fitgap", files=[])
    assert "No run of this sweep has finished." in text
    assert "- &lt;b>이름&lt;/b> \\| \\*x\\*: two lines \\| \\`x\\`" in text


@pytest.mark.parametrize("count", [3, 400])
def test_note_fits_into_what_mlflow_keeps(count):
    runs = [run_of(f"optimizer {i} {'long ' * 40}", 0, 1 / (i + 1)) for i in range(count)]
    failures = [run_of("x", i, 0.0, name="name " * 30) for i in range(count)]
    text = sweep_page.note(compare(runs), failures=failures, experiment="fitgap", files=[])
    assert len(text) < 8000
    assert text.startswith(f"Compared: {count} runs")
