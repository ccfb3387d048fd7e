"""A run repeated from its record alone has the same bits, or the reasons are named."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fitgap import experiment, rerun, store
from fitgap.store import recorded

# Dropout and momentum: random states and an optimizer's memory are compared, too.
SETTINGS = (
    "architecture=dense",
    "architecture.units=[16]",
    "architecture.dropout=0.5",
    "optimizer=momentum",
    "training.epochs=2",
    "training.xla=false",
)


@pytest.fixture(scope="module")
def finished(compose, template_database, tmp_path_factory):
    """Return a store, and the results of two runs in it that differ in their seed."""
    folder = tmp_path_factory.mktemp("rerun")
    uri = f"sqlite:///{shutil.copy(template_database, folder / 'mlflow.db')}"
    results = [
        experiment.run(experiment.plan(compose(*SETTINGS, f"seed={seed}", f"tracking.uri={uri}")))
        for seed in (0, 1)
    ]
    return uri, *results


def test_repeated_run_is_a_new_one_with_the_same_bits(script, finished):
    uri, first, _ = finished
    code, output = script("rerun.py", first.run_id, "--uri", uri)
    assert code == 0, output.err
    assert output.out.splitlines()[-1] == "The bits agree."
    (again,) = store.find_runs(uri, experiment="fitgap", tags={"fitgap.rerun_of": first.run_id})
    assert again.run_id != first.run_id
    source = recorded.open_run(first.run_id, uri=uri)
    assert again.tags["fitgap.identity"] == source.tags["fitgap.identity"]
    for metric, value in first.metrics.items():
        if not metric.startswith(rerun.NOT_BITS):
            assert again.metrics[metric] == value
    one, other = (
        {name: array.tobytes() for name, array in arrays_of(run_id, uri=uri).items()}
        for run_id in (first.run_id, again.run_id)
    )
    assert one == other
    # Two layers' weights and the optimizer's momenta.
    assert len(one) >= 8


def arrays_of(run_id, *, uri):
    with recorded.model_file(recorded.open_run(run_id, uri=uri)) as path:
        return rerun.read_arrays(path)


def test_arrays_of_the_file_are_the_networks_weights(finished):
    from fitgap import prediction

    uri, first, _ = finished
    arrays = arrays_of(first.run_id, uri=uri)
    for weights in prediction.load_model(recorded.open_run(first.run_id, uri=uri)).get_weights():
        same = [np.array_equal(weights, array) for array in arrays.values()]
        assert sum(same) >= 1


def test_runs_of_two_seeds_do_not_agree_and_the_differences_are_named(finished):
    uri, *results = finished
    one, other = (recorded.open_run(result.run_id, uri=uri) for result in results)
    agreement = rerun.compare(one, other)
    assert not agreement.is_complete
    assert "train/loss" in agreement.different_metrics
    assert "learning_rate" not in agreement.different_metrics
    assert not any(name.startswith("time/") for name in agreement.different_metrics)
    assert agreement.different_arrays
    assert all(" numbers, by up to " in said for said in agreement.different_arrays.values())
    itself = rerun.compare(one, one)
    assert itself.is_complete
    assert (itself.metrics, itself.arrays) == (agreement.metrics, agreement.arrays)


def test_one_bit_is_a_difference():
    first = np.array([0.1, 0.2], np.float32)
    second = first.copy()
    second.view(np.uint32)[1] ^= 1
    assert rerun.array_difference(first, first.copy()) == ""
    assert rerun.array_difference(first, second).startswith("1 of 2 numbers, by up to 1.5e-08")
    assert rerun.array_difference(first, first.astype(np.float64)).startswith("float32")
    assert rerun.history_difference({1: 0.1}, {1: 0.1}) == ""
    assert rerun.history_difference({1: float("nan")}, {1: float("nan")}) == ""
    assert "at step 2" in rerun.history_difference({1: 0.1, 2: 0.3}, {1: 0.1, 2: 0.1 + 0.2})
    assert rerun.history_difference({1: 0.1}, {}) == "1 values then, 0 now"


def test_nothing_differs_on_the_machine_that_made_the_record(finished):
    uri, first, _ = finished
    run = recorded.open_run(first.run_id, uri=uri)
    assert rerun.differences(run, rerun.plan(run)) == []


@pytest.mark.parametrize(
    ("tag", "what"),
    [
        ("fitgap.source_digest", "source of what decides the bits"),
        ("fitgap.version.numpy", "version.numpy"),
        ("fitgap.dataset_digest", "data"),
        ("fitgap.split_digest", "split"),
        ("fitgap.host", "host"),
        ("fitgap.cpu", "processor"),
    ],
)
def test_what_is_not_as_it_was_is_named_with_both_values(finished, tag, what):
    uri, first, _ = finished
    run = recorded.open_run(first.run_id, uri=uri)
    changed = replace(run, tags={**run.tags, tag: "then"})
    (found,) = rerun.differences(changed, rerun.plan(run))
    assert (found.what, found.then) == (what, "then")
    assert run.tags[tag].startswith(found.now)
    lacking = replace(run, tags={key: value for key, value in run.tags.items() if key != tag})
    assert [one.then for one in rerun.differences(lacking, rerun.plan(run))] == ["not recorded"]


def test_engine_and_settings_of_other_days_are_named(finished):
    uri, first, _ = finished
    run = recorded.open_run(first.run_id, uri=uri)
    older = replace(
        run, params={**run.params, "engine": "fit"}, unknown_settings={"training.warm": [1]}
    )
    found = [(one.what, one.then, one.now) for one in rerun.differences(older, rerun.plan(run))]
    assert found == [
        ("engine", "fit", "compiled"),
        ("setting training.warm", "[1]", "there is none"),
    ]


def test_record_that_was_altered_is_exit_code_1_with_what_differs(script, finished):
    from mlflow import MlflowClient

    uri, _, second = finished
    MlflowClient(uri).set_tag(second.run_id, "fitgap.version.keras", "2.0.0")
    folder = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts" / second.run_id
    settings = folder / "artifacts" / "config.yaml"
    settings.write_text(settings.read_text().replace("seed: 1\n", "seed: 7\n"))
    code, output = script("rerun.py", second.run_id, "--uri", uri)
    assert code == 1
    before, _, after = output.out.partition("repeated as run")
    for part in (before, after):
        assert "  version.keras: 2.0.0 then, " in part
    assert "  gap/accuracy: " in after
    assert "The bits differ." in after


@pytest.mark.parametrize("kind", ["unknown", "a sweep", "RUNNING", "FAILED"])
def test_run_that_did_not_train_to_its_end_is_exit_code_2(script, tracking_uri, kind):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    tags = {"fitgap.role": "sweep" if kind == "a sweep" else "run"}
    run_id = client.create_run("0", tags=tags).info.run_id
    if kind == "FAILED":
        client.set_terminated(run_id, "FAILED")
    code, output = script(
        "rerun.py", "0" * 32 if kind == "unknown" else run_id, "--uri", tracking_uri
    )
    assert code == 2
    assert ("there is no run" if kind == "unknown" else kind) in output.err
    assert len(output.err.splitlines()) == 1


@pytest.mark.parametrize("kept", [0, 40, -20])
def test_damaged_network_is_exit_code_2_before_anything_is_trained(script, finished, kept):
    uri, first, _ = finished
    with recorded.model_file(recorded.open_run(first.run_id, uri=uri)) as intact:
        content = intact.read_bytes()
    (model,) = [
        path
        for path in Path(uri.removeprefix("sqlite:///")).parent.rglob("model.keras")
        if path.read_bytes() == content
    ]
    runs = store.find_runs(uri, experiment="fitgap")
    model.write_bytes(content[:kept])
    try:
        code, output = script("rerun.py", first.run_id, "--uri", uri)
    finally:
        model.write_bytes(content)
    assert code == 2
    assert f"the model of run {first.run_id} cannot be opened: model.keras" in output.err
    assert store.find_runs(uri, experiment="fitgap") == runs


def test_record_without_settings_is_exit_code_2(script, finished):
    uri, first, _ = finished
    folder = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts" / first.run_id
    settings = folder / "artifacts" / "config.yaml"
    away = settings.rename(settings.with_name("away"))
    try:
        code, output = script("rerun.py", first.run_id, "--uri", uri)
    finally:
        away.rename(settings)
    assert code == 2
    assert "cannot be read" in output.err
