"""The rule behind the verdicts, what is read from the record, and how it all is shown."""

import io
import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from rich.cells import cell_len
from rich.console import Console

from fitgap.errors import RequestError
from fitgap.experiment import Plan
from fitgap_lab.reproduction import findings, measurements
from fitgap_lab.reproduction.findings import Reproduction
from fitgap_lab.reproduction.measurements import Measurement
from fitgap_lab.reproduction.published import FIRST_IMAGE, PRESETS, PUBLISHED, Figure
from fitgap_lab.reproduction.report import print_tables, to_json, to_markdown


def figure(printed, **fields):
    return Figure(PRESETS[0], "test/accuracy", printed, "test accuracy", **fields)


# Of 1, 2, 3: mean 2, standard deviation 1, t(0.975; 2) = 4.3027, so the interval without rounding
# ends at 2 + 4.3027 * sqrt(4 / 3) = 6.9683.
@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        ("6.96", "consistent"),
        ("6.97", "consistent"),  # may have been 6.965
        ("6.98", "outside"),
        ("7.0", "consistent"),  # may have been 6.95
        ("7.00", "outside"),
        ("7", "consistent"),
        ("8", "outside"),
        ("-2.97", "consistent"),
        ("-2.98", "outside"),
    ],
)
def test_interval_is_that_of_one_further_draw_widened_by_rounding(printed, verdict):
    assert findings.judge(figure(printed), [1.0, 2.0, 3.0]).verdict == verdict


def test_interval_and_difference_can_be_seen():
    finding = findings.judge(figure("2.5"), [1.0, 2.0, 3.0])
    assert finding.high == pytest.approx(2 + 4.302653 * math.sqrt(4 / 3) + 0.05)
    assert finding.low == pytest.approx(2 - 4.302653 * math.sqrt(4 / 3) - 0.05)
    assert finding.difference == -0.5


@pytest.mark.parametrize("n", [2, 3, 10])
def test_nineteen_of_twenty_further_draws_are_consistent(n):
    draws = np.random.default_rng(0).normal(size=(40_000, n + 1))
    measured, further = draws[:, :n], draws[:, n]
    reach = findings.interval_factor(n) * measured.std(axis=1, ddof=1)
    share = np.mean(np.abs(further - measured.mean(axis=1)) <= reach)
    assert share == pytest.approx(0.95, abs=0.004)  # 0.004: 3.7 standard errors of that share


def test_one_seed_gives_no_interval_and_no_verdict():
    finding = findings.judge(figure("0.9803"), [0.9803])
    assert (finding.low, finding.high) == (None, None)
    assert finding.verdict == "n = 1: no verdict"


@pytest.mark.parametrize("kind", ["about", "undated"])
def test_figures_of_unknown_origin_get_an_interval_but_no_verdict(kind):
    finding = findings.judge(figure("9", kind=kind), [1.0, 2.0, 3.0])
    assert finding.verdict == "no verdict"
    assert finding.high == pytest.approx(7.4683, abs=1e-4)


def test_bound_is_counted_seed_by_seed():
    finding = findings.judge(figure("0.999", kind="above"), [0.9991, 0.999, 0.9999])
    assert finding.verdict == "2 of 3"


@pytest.mark.parametrize(
    ("printed", "half_unit"), [("0.9700", 0.00005), ("0.97", 0.005), ("0.989", 0.0005), ("7", 0.5)]
)
def test_trailing_zeros_count_as_printed_digits(printed, half_unit):
    assert figure(printed).half_unit == pytest.approx(half_unit)


@pytest.mark.parametrize(
    ("printed", "verdict"), [("0.5", "at epoch 1"), ("0.7", "at epoch 3"), ("0.8", "> epoch 3")]
)
def test_undated_figure_is_placed_by_the_mean_curve(printed, verdict):
    curves = [[0.5, 0.8, 0.7], [0.5, 0.4, 0.8]]  # mean 0.5, 0.6, 0.75
    assert findings.place(figure(printed), curves).verdict == verdict


# Standard error 0.001 * sqrt(2 / 3) = 0.000816, 4 degrees: t(0.95) = 2.132, t(0.975) = 2.776.
@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.0, "equivalent"), (0.003, "equivalent"), (-0.003, "equivalent"), (0.0035, "differs")],
)
def test_means_are_equivalent_if_two_one_sided_tests_say_so(shift, verdict):
    ours = [0.970, 0.971, 0.972]
    found = findings.compare(
        ours, [value + shift for value in ours], preset=PRESETS[0], metric="test/accuracy"
    )
    assert found.difference == pytest.approx(-shift)
    assert found.reach == pytest.approx(abs(shift) + 2.131847 * 0.000816497, abs=1e-7)
    assert (found.margin, found.verdict) == (0.005, verdict)


def test_what_scatters_widely_is_undecided_and_not_said_to_agree():
    found = findings.compare(
        [0.9, 0.95, 0.97], [0.91, 0.94, 0.98], preset="", metric="val/accuracy"
    )
    assert found.verdict == "undecided"


def test_the_margin_of_a_loss_is_a_share_of_it():
    found = findings.compare([0.4, 0.401], [0.4, 0.402], preset="", metric="val/loss")
    assert found.margin == pytest.approx(0.05 * 0.401)


def test_values_that_do_not_scatter_get_no_verdict():
    found = findings.compare([0.9, 0.9], [0.9, 0.9], preset="", metric="val/accuracy")
    assert (found.reach, found.verdict) == (None, "no verdict")


def test_means_at_the_margin_are_called_equivalent_in_one_of_twenty():
    draws = np.random.default_rng(0).normal(0, 0.004, (1000, 2, 10))
    draws[:, 1] += 0.005
    words = [findings.compare(*pair, preset="", metric="val/accuracy").verdict for pair in draws]
    assert words.count("equivalent") / 1000 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)


def test_one_run_of_plain_keras_gives_no_verdict():
    found = findings.compare([1.0, 2.0], [1.0], preset=PRESETS[0], metric="test/loss")
    assert (found.reach, found.verdict) == (None, "n = 1: no verdict")


def test_every_published_figure_is_one_the_preset_records(compose):
    recorded = {"running/accuracy", "running/loss", "test/accuracy", FIRST_IMAGE}
    for preset in PRESETS:
        settings = compose(f"experiment={preset}")
        with_validation = {"val/accuracy", "val/loss"} if settings.split.name == "holdout" else {}
        figures = [one for one in PUBLISHED if one.preset == preset]
        assert {one.metric for one in figures} <= recorded.union(with_validation)
        assert max(one.epoch or 0 for one in figures) <= settings.training.epochs


def test_no_figure_is_published_twice():
    keys = [(one.preset, one.metric, one.epoch) for one in PUBLISHED]
    assert len(set(keys)) == len(keys)


def test_sweep_trains_every_preset_with_every_seed():
    name = r"it's a\b 하나=1,2"
    overrides = measurements.sweep_overrides(3, experiment_name=name)
    parsed = OverridesParser.create().parse_overrides(overrides[1:])
    swept = {
        one.key_or_group: list(one.sweep_iterator()) for one in parsed if one.is_sweep_override()
    }
    assert swept == {"experiment": list(PRESETS), "seed": [0, 1, 2]}
    values = {one.key_or_group: one.value() for one in parsed if not one.is_sweep_override()}
    assert str(values["tracking.experiment"]) == name


def measurement(preset, seed, *, epochs=10):
    """Return a run whose accuracies are all 0.9 and losses 0.5, a little more with each seed."""
    series = {
        "running/accuracy": [0.9 + seed / 1000] * epochs,
        "running/loss": [0.5 + seed / 100] * epochs,
    }
    final = {
        f"{part}/{quantity}": value
        for part in ("running", "train", "val", "test")
        for quantity, value in (("accuracy", 0.9 + seed / 1000), ("loss", 0.5 + seed / 100))
    }
    return Measurement(f"{preset}-{seed}", seed, final | {FIRST_IMAGE: 0.9999}, series)


def plain_runs(n):
    runs = []
    for preset in PRESETS:
        for seed in range(n):
            like = measurement(preset, seed)
            bar = {k.replace("running", "progress_bar"): v for k, v in like.by_epoch.items()}
            runs.append({"preset": preset, "seed": seed, **like.final, **like.by_epoch, **bar})
    return runs


def reproduce(n, *, missing=()):
    measured = {
        preset: [] if preset in missing else [measurement(preset, seed) for seed in range(n)]
        for preset in PRESETS
    }
    return Reproduction(
        seeds=n,
        measured=measured,
        findings=findings.find(measured),
        agreements=findings.compare_all(measured, plain_runs(n)),
        bar_findings=findings.find_in_progress_bars(plain_runs(n)),
        commands=["python scripts/reproduce.py"],
    )


@pytest.mark.parametrize("n", [1, 3])
def test_terminal_needs_no_more_than_80_columns(n):
    out = io.StringIO()
    print_tables(reproduce(n), console=Console(file=out, width=80))
    text = out.getvalue()
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "…" not in text  # nothing was cut off to fit
    for printed in PUBLISHED:
        assert printed.printed in text


def test_every_published_figure_is_a_row_of_the_page():
    page = to_markdown(reproduce(3))
    tables = page.partition("\n## Agreement")[0]
    for preset in PRESETS:
        section = tables.partition(f"\n## {preset}, n = 3\n")[2].partition("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
        printed = [row.split(" | ")[1].lstrip("~>") for row in rows]
        assert printed == [one.printed for one in PUBLISHED if one.preset == preset]


def test_unknown_number_of_epochs_is_said_and_no_match_claimed():
    found = json.loads(to_json(reproduce(3)))
    (relu,) = [one for one in found["presets"] if one["preset"] == "fashion_dense_relu"]
    assert "8 to 12 epochs of plain Keras" in relu["note"]
    assert not {one["verdict"] for one in relu["figures"]} & {"consistent", "outside"}


def test_json_has_every_value_behind_a_mean():
    found = json.loads(to_json(reproduce(3)))
    first = found["presets"][0]["figures"][0]
    assert first["values"] == [0.9, 0.901, 0.902]
    assert (first["n"], first["mean"], first["sd"]) == (
        3,
        pytest.approx(0.901),
        pytest.approx(0.001),
    )
    assert (first["published"], first["epoch"]) == ("0.9266", 1)


@pytest.mark.parametrize(
    ("render", "expected"),
    [(to_markdown, "fashion_dense_adam, n = 0 (of 3"), (to_json, '"n": 0')],
)
def test_preset_whose_runs_failed_is_said_to_be_missing(render, expected):
    assert expected in render(reproduce(3, missing=("fashion_dense_adam",)))


def test_equal_figures_of_plain_keras_agree_in_every_preset():
    agreements = reproduce(3).agreements
    assert {one.preset for one in agreements} == set(PRESETS)
    assert {one.verdict for one in agreements} == {"equivalent"}


def test_progress_bar_is_judged_by_the_same_rule():
    runs = [
        {"preset": "fashion_dense_adam", "seed": seed, "progress_bar/accuracy": [value]}
        for seed, value in enumerate((0.7684, 0.7694, 0.7704))
    ]
    (finding,) = findings.find_in_progress_bars(runs)
    assert (finding.figure.printed, finding.verdict) == ("0.7694", "consistent")


@pytest.mark.parametrize(
    "content",
    ["", "{", "3", "[3]", '[{"seed": 0}]', '[{"preset": "a", "seed": 0, "test/loss": "x"}]',
     '[{"preset": "a", "seed": 0, "running/loss": []}]'],
    ids=["empty", "cut", "number", "numbers", "no preset", "text", "no epochs"],
)  # fmt: skip
def test_damaged_file_of_plain_keras_is_a_wrong_request(content, tmp_path):
    path = tmp_path / "plain.json"
    path.write_text(content)
    with pytest.raises(RequestError, match="--against"):
        findings.read_plain_keras(path)


def test_absent_file_of_plain_keras_is_a_wrong_request(tmp_path):
    with pytest.raises(RequestError, match="No such file"):
        findings.read_plain_keras(tmp_path / "absent.json")


def test_only_finished_runs_of_the_request_are_measured(compose, tracking_uri):
    from mlflow import MlflowClient
    from mlflow.entities import Metric, RunTag

    settings = compose("experiment=fashion_dense_adam", "tracking.experiment=reproduction")
    client = MlflowClient(tracking_uri)
    experiment_id = client.create_experiment("reproduction")
    for start, (identity, status, accuracy) in enumerate(
        [
            ("asked", "FINISHED", 0.1),
            ("asked", "FINISHED", 0.2),  # the newest finished one
            ("asked", "FAILED", 0.3),
            ("other", "FINISHED", 0.4),
        ]
    ):
        run_id = client.create_run(experiment_id, start_time=1_000 + start).info.run_id
        client.log_batch(
            run_id,
            tags=[RunTag("fitgap.identity", identity)],
            metrics=[
                # The clock went backwards; the steps count.
                Metric("running/accuracy", accuracy + step / 100, 10 - step, step)
                for step in (2, 1, 3)
            ],
        )
        client.set_terminated(run_id, status)
    plan = Plan(settings, facts=None, choice=None, sources=None, identity="asked", uri=tracking_uri)
    unfinished = replace(plan, identity="not there")
    (found,) = measurements.measure({"fashion_dense_adam": [plan, unfinished]})[
        "fashion_dense_adam"
    ]
    assert found.by_epoch["running/accuracy"] == pytest.approx([0.21, 0.22, 0.23])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "0"], "must be 1 or more, got 0"),
        (["--against", "absent.json"], "absent.json"),
        ([], "FITGAP_DATA_DIR"),
    ],
    ids=["no seed", "no file", "no data"],
)
def test_wrong_request_trains_nothing(arguments, said, script, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FITGAP_DATA_DIR", str(tmp_path / "absent"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(subprocess, "Popen", None)
    code, output = script("reproduce.py", *arguments)
    assert code == 2
    assert said in output.err
    assert "Traceback" not in output.err
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize("sweep_code", [0, 1, 2, 130])
def test_exit_code_tells_how_the_sweep_went(sweep_code, script, monkeypatch, tmp_path):
    class Sweep:
        def __init__(self, command, *, env):
            assert command[0] == sys.executable
            assert env.get("HYDRA_FULL_ERROR") != "1"  # the sweep prints no traceback

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def wait(self):
            return sweep_code

    missing = ("fashion_dense_adam",) if sweep_code == 1 else ()
    measured = reproduce(2, missing=missing).measured
    monkeypatch.setattr(subprocess, "Popen", Sweep)
    monkeypatch.setattr(measurements, "plans", lambda _seeds, **_: {})
    monkeypatch.setattr(measurements, "measure", lambda _plans: measured)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    code, output = script("reproduce.py", "--seeds", "2", "--output", str(tmp_path / "out"))
    assert code == sweep_code
    has_result = sweep_code in (0, 1)
    assert (tmp_path / "out" / "reproduction.md").exists() == has_result
    assert (tmp_path / "out" / "reproduction.json").exists() == has_result
    assert ("mnist_dense_rmsprop_onehot, n = 2" in output.out) == has_result
