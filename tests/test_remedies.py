"""What a remedy brought, on figures made by hand; and reading a recorded sweep back."""

import dataclasses
import json

import mlflow
import pytest

from fitgap.charts.themes import LIGHT
from fitgap.comparison import remedies, sweep_results
from fitgap.errors import RequestError
from fitgap.report import remedies_chart
from fitgap.store import StoredRun
from fitgap.sweep import plan as sweep_plan
from fitgap.sweep.plan import PlannedJob, SweepPlan
from fitgap_lab.calibration import effects as simulated


def made_run(val, gap, *, seed=0, **params):
    return StoredRun(
        run_id=f"run{seed}",
        name="",
        status="FINISHED",
        start_time=0,
        params={"seed": str(seed), "train_samples": "100", **params},
        metrics={"val/accuracy": val, "gap/accuracy": gap},
        tags={},
    )


def made(**by_remedy):
    """Return runs of seeds 0, 1, ... from pairs of validation accuracy and gap."""
    return {
        remedy: {seed: made_run(*pair, seed=seed) for seed, pair in enumerate(pairs)}
        for remedy, pairs in by_remedy.items()
    }


BASELINE = [(0.80, 0.10), (0.82, 0.12), (0.78, 0.08)]


def test_changes_are_differences_within_a_seed():
    runs = made(none=BASELINE, dropout=[(0.81, 0.06), (0.83, 0.08), (0.82, 0.04)])
    baseline, dropout = remedies.effects(runs).rows
    assert baseline.remedy == "none"
    # 0.01, 0.01, 0.04: mean 0.02, sd 0.01732; for two intervals at once, 6.205347 is the 0.9875
    # quantile of Student's t of 2 degrees.
    assert dropout.val_change.mean == pytest.approx(0.02)
    assert dropout.val_change.low == pytest.approx(0.02 - 6.205347 * 0.0173205 / 3**0.5, abs=1e-6)
    assert dropout.gap_change.mean == pytest.approx(-0.04)
    assert dropout.gap.mean == pytest.approx(0.06)


def test_only_common_seeds_count():
    runs = made(none=BASELINE, l2=BASELINE[:2], smaller=BASELINE)
    del runs["none"][0]
    effects = {one.remedy: one for one in remedies.effects(runs).rows}
    assert (effects["l2"].val_change.n, effects["smaller"].val_change.n) == (1, 2)
    assert effects["l2"].verdict == "one replicate: no interval"


def shifted(val, gap):
    """Return the baseline shifted by nearly equal amounts at each seed."""
    return [
        (v + val + wobble, g + gap - wobble)
        for (v, g), wobble in zip(BASELINE, (-1e-4, 0, 1e-4), strict=True)
    ]


def test_the_largest_gain_comes_first_and_what_is_worse_last():
    runs = made(
        none=BASELINE,
        worse=shifted(-0.02, -0.09),
        little=shifted(0.001, -0.01),
        best=shifted(0.02, -0.03),
        nothing=BASELINE,
    )
    effects = remedies.effects(runs).rows
    assert [one.remedy for one in effects] == ["none", "best", "little", "nothing", "worse"]
    verdicts = {one.remedy: one.verdict for one in effects}
    assert verdicts == {
        "none": "baseline",
        "best": "better, smaller gap",
        "little": "better, smaller gap",
        "nothing": "no difference shown",
        "worse": "smaller gap, worse",
    }


def test_a_remedy_that_only_loses_training_accuracy_ranks_by_its_validation_accuracy():
    runs = made(none=BASELINE, weak=shifted(0.0, -0.30), strong=shifted(0.01, 0.0))
    assert [one.remedy for one in remedies.effects(runs).rows] == ["none", "strong", "weak"]


def test_equal_differences_are_no_certainty():
    # One image more at every seed: a spread of nothing, by chance.
    found = remedies.effects(made(none=BASELINE, l1=[(v + 0.01, g) for v, g in BASELINE]))
    assert found.effects[0].verdict == "no difference shown"


def test_of_an_error_a_fall_is_the_gain_and_changes_are_in_its_units():
    tag = '[{"name": "mae", "direction": -1, "bounds": [0, null], "phrase": "in euro"}]'

    def run(val, gap, seed):
        metrics = {"val/mae": val, "gap/mae": gap, "val/loss": 1.0}
        return dataclasses.replace(
            made_run(0, 0, seed=seed), metrics=metrics, tags={"fitgap.metrics": tag}
        )

    figures = {
        "none": [(8e4, 2e3), (9e4, 2e3), (7e4, 2e3)],
        "l1": [(8.5e4, 2e3), (9.51e4, 2e3), (7.52e4, 2e3)],
        "l2": [(7.5e4, 2e3), (8.51e4, 2e3), (6.52e4, 2e3)],
    }
    found = remedies.effects(
        {
            name: {seed: run(*pair, seed) for seed, pair in enumerate(pairs)}
            for name, pairs in figures.items()
        }
    )
    assert [(one.remedy, one.verdict) for one in found.rows] == [
        ("none", "baseline"),
        ("l2", "better"),
        ("l1", "worse"),
    ]
    text = remedies.to_markdown(found, title="prices", missing=0)
    assert "Δ val/mae" in text
    assert "in mae (in euro), of which lower is better" in text
    assert "accuracy" not in text
    assert "-4900.0000 [" in text
    drawn = json.dumps(remedies_chart.draw(found, title="prices").spec())
    assert '["change of val/mae", "left is better"]' in drawn


def over_splits(table):
    """Return runs from figures by remedy, split and seed: val and gap; four fifths to train on."""
    return {
        remedy: {
            (seed, split): made_run(
                *table[remedy][split][seed],
                seed=seed,
                **{"split.seed": str(split), "train_samples": "400", "val_samples": "100"},
            )
            for split in range(len(table[remedy]))
            for seed in range(len(table[remedy][split]))
        }
        for remedy in table
    }


def test_over_splits_seeds_are_averaged_first_and_overlap_widens_the_interval():
    none = [[(0.80, 0.1), (0.82, 0.1)], [(0.70, 0.1), (0.70, 0.1)], [(0.75, 0.1), (0.77, 0.1)]]
    gains = [[0.01, 0.03], [0.03, 0.05], [0.06, 0.06]]  # split means 0.02, 0.04, 0.06
    l1 = [
        [(val + gain, gap) for (val, gap), gain in zip(*rows, strict=True)]
        for rows in zip(none, gains, strict=True)
    ]
    found = remedies.effects(over_splits({"none": none, "l1": l1}))
    change = found.effects[0].val_change
    assert (found.splits, change.n, change.covers) == (3, 6, "splits")
    assert change.mean == pytest.approx(0.04)
    # 6.205347: see above; sd 0.02, (1/3 + 100/400) of its square.
    half_width = 6.205347 * 0.02 * (1 / 3 + 1 / 4) ** 0.5
    assert change.high - change.mean == pytest.approx(half_width, abs=1e-7)
    text = remedies.to_markdown(found, title="", missing=0)
    assert "over 3 splits, seeds averaged within each" in text
    assert "this split" not in text


def test_one_common_split_of_several_has_no_interval():
    rows = [[(0.8, 0.1), (0.81, 0.1)], [(0.7, 0.1), (0.72, 0.1)]]
    runs = over_splits({"none": rows, "l1": rows, "l2": rows[:1]})
    verdicts = {one.remedy: one.verdict for one in remedies.effects(runs).effects}
    assert verdicts == {"l1": "no difference shown", "l2": "one replicate: no interval"}


def test_of_remedies_over_splits_tables_with_a_word_are_few_unless_one_does_something():
    assert simulated.told_of_remedies(0.0, repetitions=200).any_row <= 0.05
    assert simulated.told_of_remedies(0.09, repetitions=200).first_row >= 0.9


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (made(dropout=BASELINE), "no finished run of remedy=none"),
        ({**made(none=BASELINE[:1]), "l2": {7: made_run(0.8, 0.1, seed=7)}}, "no remedy has"),
    ],
)
def test_what_cannot_be_compared_is_said(runs, message):
    with pytest.raises(RequestError, match=message):
        remedies.effects(runs)


def test_table_and_picture_hold_every_remedy():
    effects = remedies.effects(made(none=BASELINE, l2=shifted(0.01, -0.02), dropout=BASELINE))
    text = remedies.to_markdown(effects, title="Zahlen, 숫자, [a](b)", missing=2)
    assert text.startswith("## Zahlen, 숫자, [a\\](b)\n")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[1:]] == ["| none", "| l2", "| dropout"]
    assert "do not count: 2" in text
    picture = remedies_chart.draw(effects, title="Zahlen, 숫자")
    for panel in picture.spec()["hconcat"]:
        assert panel["layer"][1]["encoding"]["y"]["sort"] == ["l2", "dropout"]
        dots = panel["layer"][2]["encoding"]  # a legend of both channels is as hollow as the marks
        assert dots["fill"]["legend"] == dots["stroke"]["legend"]
        assert dots["fill"]["scale"]["range"][-1] == LIGHT["paper"]
    assert "숫자" in picture.svg()


# Reading a sweep back: runs written through MLflow, no training.


@pytest.fixture
def record(tracking_uri):
    """Return a function that writes a sweep's parent and the runs of its jobs."""
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.create_experiment("e", artifact_location=None)

    def write(jobs, *, finished):
        planned = [PlannedJob(" ".join(job), " ".join(job), list(job), None) for job in jobs]
        plan = SweepPlan(hydra=[], task=[], workers=1, reuse=True, jobs=planned)
        parent = client.create_run(experiment, tags={"fitgap.role": "sweep"}).info.run_id
        client.log_text(parent, sweep_plan.to_json(plan), sweep_plan.FILE_NAME)
        for job in finished:
            run = client.create_run(experiment, tags={"fitgap.identity": " ".join(job)})
            seed = next(o for o in job if o.startswith("seed="))
            client.log_param(run.info.run_id, "seed", seed.partition("=")[2])
            client.set_terminated(run.info.run_id, "FINISHED")
        return parent

    return write


def grid(setting, *values):
    return [(f"{setting}={value}", f"seed={seed}", "x=1") for value in values for seed in (0, 1)]


def read(uri, **options):
    options = {"experiment": "e", "setting": "remedy", "start": "...", **options}
    return sweep_results.read(uri, **options)


def test_the_newest_sweep_over_the_setting_is_read_with_what_earlier_ones_finished(
    record, tracking_uri
):
    jobs = grid("remedy", "none", "l2")
    older = record(jobs[:3], finished=jobs[:3])
    newer = record(jobs, finished=[])
    record(grid("optimizer", "sgd", "adam"), finished=[])
    results = read(tracking_uri)
    assert results.parent == newer
    seeds = {name: [run.params["seed"] for run in of.values()] for name, of in results.runs.items()}
    assert seeds == {"none": ["0", "1"], "l2": ["0"]}
    assert results.missing == 1
    assert read(tracking_uri, sweep=older).missing == 0


def test_a_sweep_that_varies_more_is_refused(record, tracking_uri):
    jobs = grid("remedy", "none", "l2")
    record([*jobs, ("remedy=l2", "seed=0", "x=2")], finished=jobs)
    with pytest.raises(RequestError, match="varies x besides remedy and replicates"):
        read(tracking_uri)


def test_no_sweep_says_how_to_make_one(tracking_uri):
    with pytest.raises(RequestError, match=r"no sweep over remedy.*\nMake one with: .* \.\.\."):
        read(tracking_uri)


# The whole way: train, then ask.


@pytest.fixture
def ask(script, tmp_path):
    """Return a function that runs a script with an output folder, and returns what it said."""

    def run(name):
        code, said = script(f"{name}.py", "--output", str(tmp_path / "out"))
        assert code == 0
        return said.out

    return run


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("remedies", "remedy=none,l2"),
        ("remedies", "remedy=none,l2 split.seed=1,2"),
        ("learning_curve", "split.train_fraction=0.25,1"),
    ],
)
def test_a_preset_is_trained_and_answered(train, tracking_uri, ask, tmp_path, *, name, values):
    small = ("training.epochs=1", "hydra/launcher=basic", "seed=0,1", "training.xla=false")
    assert train(f"sweep={name}", *values.split(), *small).code == 0
    assert "digits, 1,149 training samples" in ask(name)
    files = {f"{name}.{suffix}" for suffix in ("md", "png", "svg")}
    assert {file.name for file in (tmp_path / "out").iterdir()} == files
    parent = sweep_results.read(
        tracking_uri, experiment="fitgap", setting=values.partition("=")[0], start=""
    ).parent
    kept = mlflow.MlflowClient(tracking_uri).list_artifacts(parent, name)
    assert {file.path.rpartition("/")[2] for file in kept} == files


def test_a_run_without_a_finite_figure_counts_nowhere_and_is_said():
    nan = float("nan")
    runs = {
        remedy: {
            (split, seed): made_run(
                nan if (remedy, split, seed) == ("l2", 0, 0) else val + split / 100,
                0.1,
                seed=seed,
                **{"split.seed": str(split)},
            )
            for split in range(3)
            for seed in range(2)
        }
        for remedy, val in (("none", 0.8), ("l2", 0.9))
    }
    found = remedies.effects(runs)
    (l2,) = found.effects
    assert (l2.val_change.mean, l2.val_change.n) == (pytest.approx(0.1), 5)
    assert remedies.notes(found, missing=0)[-1].endswith("do not count: 1.")
    for run in runs["l2"].values():
        run.metrics["val/accuracy"] = nan
    assert remedies.effects(runs).effects[0].verdict == "no finite figures"
