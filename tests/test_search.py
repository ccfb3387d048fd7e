"""Searches as a person starts them, with real training on the bundled digits."""

import sys

import pytest
from mlflow import MlflowClient

from fitgap import store
from fitgap.comparison.ranking import compare_experiment
from fitgap.report import content, page, terminal_details

pytest.importorskip("optuna", reason="Optuna is an extra")

SMALL = ("architecture=dense_softmax", "training.epochs=2", "training.xla=false")
OPTUNA = ("-m", "hydra/sweeper=optuna", *SMALL)
RATES = "optimizer.learning_rate=tag(log, interval(1e-3, 1e-1))"
ALL = ("RUNNING", "FINISHED", "FAILED", "KILLED")


def by_role(uri, experiment="fitgap"):
    return (
        store.find_runs(uri, experiment=experiment, statuses=ALL, tags={"fitgap.role": role})
        for role in ("sweep", "run")
    )


def outcomes(runs):
    """Return what trials tried and reached, in no order."""
    keys = ("optimizer.name", "optimizer.learning_rate")
    return sorted([*(run.params[key] for key in keys), run.metrics["val/accuracy"]] for run in runs)


def test_a_search_is_continued_to_what_an_uninterrupted_one_finds(train, tracking_uri):
    space = ("optimizer=sgd,adam", RATES, "hydra.sweeper.n_jobs=2")
    first = train(*OPTUNA, *space, "hydra.sweeper.n_trials=3")
    assert (first.code, first.err) == (0, "")
    assert "0 of 3 trials ended before" in first.out
    assert "\n[3/3] trial " in first.out
    second = train(*OPTUNA, *space, "hydra.sweeper.n_trials=5")
    assert "3 of 5 trials ended before" in second.out
    assert "\n[4/5] trial " in second.out
    again = train(*OPTUNA, *space, "hydra.sweeper.n_trials=5")
    assert (again.code, "5 of 5 trials ended before" in again.out) == (0, True)
    (parent,), continued = by_role(tracking_uri)
    assert {child.tags["fitgap.sweep"] for child in continued} == {parent.run_id}

    whole = train(*OPTUNA, *space, "hydra.sweeper.n_trials=5", "tracking.experiment=whole")
    (parent,), children = by_role(tracking_uri, "whole")
    assert outcomes(children) == outcomes(continued)
    assert len(children) == 5
    assert parent.status == "FINISHED"
    assert {child.tags["fitgap.sweep"] for child in children} == {parent.run_id}
    best = max(child.metrics["val/accuracy"] for child in children)
    assert f"val/accuracy {best:.4f}" in whole.out.partition("best:\n")[2]
    artifacts = {file.path for file in MlflowClient(tracking_uri).list_artifacts(parent.run_id)}
    assert {"search.json", "trials.csv", "importances.json"} <= artifacts


def test_a_search_neither_records_nor_prints_a_secret(train, tmp_path):
    secret = "Hunter22" + "Secret"  # not as it would stand in this file's own uncommitted changes
    said = train(*OPTUNA, RATES, "hydra.sweeper.n_trials=1", f"+tags.api_key={secret}")
    assert said.code == 0
    assert "train -m" in said.out
    assert secret not in said.out + said.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "search.json" for path in files)
    assert any(path.suffix == ".journal" for path in files)
    assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_the_report_shows_what_mattered_in_a_search(train, tracking_uri):
    assert train(*OPTUNA, RATES, "hydra.sweeper.n_trials=1").code == 0
    (parent,), _ = by_role(tracking_uri)
    assert "What mattered" not in report_of_all(tracking_uri)  # one trial says nothing of that
    client = MlflowClient(tracking_uri)
    client.log_metric(parent.run_id, "importance/val/accuracy/optimizer.learning_rate", 0.75)
    client.log_metric(parent.run_id, "importance/val/accuracy/optimizer.name", 0.25)
    shown = report_of_all(tracking_uri).partition("What mattered in searches")[2]
    assert ": val/accuracy</caption>" in shown
    assert shown.index("optimizer.learning_rate</td>") < shown.index("optimizer.name</td>")
    compared = compare_experiment(tracking_uri, experiment="fitgap")
    effects = terminal_details.effects_text(compared, form="markdown")
    assert (
        "for val/accuracy by Optuna: optimizer.learning_rate 0.75, optimizer.name 0.25" in effects
    )


def report_of_all(uri):
    return page.to_html(content.report_on(uri, experiment="fitgap"))


def test_a_trial_that_fails_ends_only_itself_and_is_not_tried_again(train, tracking_uri):
    space = ("optimizer=sgd", "optimizer.learning_rate=3e38,0.1")
    command = (*OPTUNA, *space, "hydra.sweeper.n_trials=6", "hydra.sweeper.sampler=random")
    done = train(*command)
    assert done.code == 1
    assert "DivergedError" in done.out
    (parent,), children = by_role(tracking_uri)
    assert parent.status == "FAILED"
    assert {child.status for child in children} == {"FAILED", "FINISHED"}
    assert "6 trials: " in done.out
    assert train(*command).code == 0


def test_a_trial_that_falls_behind_is_marked_and_not_counted_as_finished(train, tracking_uri):
    space = ("optimizer=sgd", "optimizer.learning_rate=0.1,1e-7")
    command = (
        *OPTUNA,
        *space,
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.sampler=random",
        "hydra.sweeper.pruner=median",
        "hydra.sweeper.pruning_startup_trials=1",
        "hydra.sweeper.seed=2",  # which proposes the good one first
    )
    done = train(*command)
    assert done.code == 0
    _, children = by_role(tracking_uri)
    (good,) = [child for child in children if child.status == "FINISHED"]
    pruned = [child for child in children if child.tags.get("fitgap.pruned") == "true"]
    assert good.params["optimizer.learning_rate"] == "0.1"
    assert [child.status for child in pruned] == ["KILLED"]
    assert "is behind the median" in pruned[0].tags["fitgap.failure"]

    # Asked for by itself it is trained to its end, and no longer marked.
    assert train("optimizer=sgd", "optimizer.learning_rate=1e-7", *SMALL).code == 0
    _, children = by_role(tracking_uri)
    assert {child.status for child in children} == {"FINISHED"}
    assert not any("fitgap.pruned" in child.tags for child in children)


def test_another_search_does_not_take_a_pruned_trial_away(train, tracking_uri):
    command = (
        *OPTUNA,
        "optimizer=sgd",
        "optimizer.learning_rate=0.1,1e-7",
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.sampler=random",
        "hydra.sweeper.seed=2",
    )
    median = ("hydra.sweeper.pruner=median", "hydra.sweeper.pruning_startup_trials=1")
    assert train(*command, *median).code == 0
    _, children = by_role(tracking_uri)
    (pruned,) = [run for run in children if run.status == "KILLED"]
    assert train(*command, "hydra.sweeper.metrics=[val/loss]").code == 0
    _, children = by_role(tracking_uri)
    children = list(children)
    (still,) = [run for run in children if run.run_id == pruned.run_id]
    assert (still.status, still.tags) == ("KILLED", pruned.tags)
    assert sorted(run.status for run in children) == ["FINISHED", "FINISHED", "KILLED"]


def test_a_trial_that_diverges_has_failed_though_it_fell_behind_too(train, tracking_uri):
    done = train(
        *OPTUNA,
        "optimizer=sgd",
        "optimizer.learning_rate=0.1,3e38",
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.sampler=random",
        "hydra.sweeper.pruner=median",
        "hydra.sweeper.pruning_startup_trials=1",
        "hydra.sweeper.seed=2",  # which proposes the good one first
    )
    assert done.code == 1
    assert "0 pruned" in done.out
    _, children = by_role(tracking_uri)
    assert sorted(child.status for child in children) == ["FAILED", "FINISHED"]


def test_an_option_that_does_not_exist_is_refused_before_anything_starts(train, tracking_uri):
    done = train(*OPTUNA, "optimizer=sgd,adam,adamm", "hydra.sweeper.n_trials=1")
    assert done.code == 2
    assert "optimizer=adamm: there is no such option; did you mean adam?" in done.err
    assert list(by_role(tracking_uri)) == [[], []]


def test_a_value_that_cannot_be_fails_its_trial_only(train):
    done = train(
        *OPTUNA,
        "optimizer=sgd",
        "training.batch_size=32,many",
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.sampler=random",
        "hydra.sweeper.seed=2",  # which proposes the good one first
    )
    assert done.code == 1
    assert "6 trials: " in done.out
    assert "training.batch_size" in done.out.partition("failed: ")[2]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (
            [RATES, "hydra.sweeper.metrics=[val/loss]"],
            "is a search with other metrics: ['val/accuracy']",
        ),
        (
            [RATES, "hydra.sweeper.directions=[minimize]"],
            "is a search with other directions: ['maximize']",
        ),
        (["optimizer.learning_rate=0.1,0.3"], "is a search with other space: "),
    ],
)
def test_a_named_search_goes_on_with_the_same_question_only(train, question, message):
    named = (*OPTUNA, "hydra.sweeper.study=mine", "hydra.sweeper.n_trials=1")
    assert train(*named, RATES).code == 0
    done = train(*named, *question)
    assert done.code == 2
    assert f"hydra.sweeper.study=mine {message}" in done.err


def test_two_metrics_give_the_trials_that_none_beats_in_both(train, tracking_uri):  # noqa: ARG001
    done = train(
        *OPTUNA,
        RATES,
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.metrics=[val/accuracy,gap/accuracy]",
        "hydra.sweeper.directions=[maximize,minimize]",
    )
    assert done.code == 0
    assert "no trial is better in all metrics than:" in done.out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hydra.sweeper.metrics=[test/accuracy]"], "test/accuracy is a test figure"),
        (["hydra.sweeper.metrics=[val/acuracy]"], "hydra.sweeper.metrics must be"),
        (["hydra.sweeper.sampler=grid"], "hydra.sweeper.sampler must be tpe or random"),
        (["hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials must be an integer >= 1, got 0"),
        (["hydra.sweeper.directions=[up]"], "hydra.sweeper.directions must be"),
        (
            ["hydra.sweeper.metrics=[val/loss,gap/loss]", "hydra.sweeper.pruner=median"],
            "prunes by one metric",
        ),
        (
            [
                "metrics=[accuracy,roc_auc]",
                "hydra.sweeper.metrics=[val/roc_auc]",
                "hydra.sweeper.pruner=median",
            ],
            "needs ++metrics.roc_auc.each_epoch=true",
        ),
        (["split=none"], "needs a validation partition"),
        (["seed=0,1"], "seed: a search cannot vary it"),
        (["training.batch_size=0"], "training.batch_size must be an integer >= 1"),
        (["hydra.sweeper.n_trial=3"], "n_trial"),
    ],
)
def test_a_wrong_search_starts_nothing(train, tmp_path, overrides, message):
    done = train(*OPTUNA, RATES, *overrides)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) <= 2
    assert not (tmp_path / "mlflow.db").exists()


def test_without_optuna_the_extra_is_named(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = train(*OPTUNA, RATES)
    assert done.code == 2
    assert "make setup-extras" in done.err
