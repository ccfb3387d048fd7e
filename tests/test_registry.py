"""The best run by validation becomes a version of a registered model."""

import shutil

import pytest

from fitgap import experiment, registry
from fitgap.errors import RequestError

NAME = "숫자 model"


@pytest.fixture(scope="module")
def finished(compose, template_database, tmp_path_factory):
    """Return a store with one run on the digits and one on two of them, and their results."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{shutil.copy(template_database, folder / 'mlflow.db')}"
    settings = ("architecture=dense_softmax", "training.epochs=1", "training.engine=numpy")
    results = [
        experiment.run(experiment.plan(compose(*settings, *more, f"tracking.uri={uri}")))
        for more in ((), ("dataset.classes=[0,1]", "tracking.experiment=two"))
    ]
    return uri, *results


def write_runs(uri, experiment_name, figures, *, digest="data"):
    """Record finished runs by (optimizer, seed, val/accuracy, val/loss)."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment_name)
    number = found.experiment_id if found else client.create_experiment(experiment_name)
    ids = {}
    for optimizer, seed, accuracy, loss in figures:
        tags = {"fitgap.role": "run", "fitgap.dataset_digest": digest}
        run_id = client.create_run(number, tags=tags).info.run_id
        client.log_param(run_id, "optimizer.name", optimizer)
        client.log_param(run_id, "seed", seed)
        if accuracy is not None:
            client.log_metric(run_id, "val/accuracy", accuracy)
            client.log_metric(run_id, "val/loss", loss)
        client.set_terminated(run_id, "FINISHED")
        ids[optimizer, seed] = run_id
    return ids


def test_best_is_of_the_group_with_the_best_mean_not_the_luckiest_run(tracking_uri):
    ids = write_runs(
        tracking_uri,
        "fitgap",
        [
            ("adam", 0, 0.90, 0.3),
            ("adam", 1, 0.92, 0.3),
            ("adam", 2, 0.92, 0.2),
            ("sgd", 0, 0.95, 0.1),
            ("sgd", 1, 0.70, 0.9),
        ],
    )
    choice = registry.choose(tracking_uri, experiment="fitgap")
    assert choice.run.run_id == ids["adam", 2]
    assert choice.reason == "adam, seed 2: val/accuracy 0.9200 (mean of its group of 3: 0.9133)"


def test_where_nothing_can_be_chosen_by_validation_the_run_must_be_named(tracking_uri):
    write_runs(tracking_uri, "without", [("adam", 0, None, None)])
    with pytest.raises(RequestError, match="--run"):
        registry.choose(tracking_uri, experiment="without")
    write_runs(tracking_uri, "mixed", [("adam", 0, 0.9, 0.1)])
    write_runs(tracking_uri, "mixed", [("adam", 0, 0.8, 0.1)], digest="other data")
    with pytest.raises(RequestError, match="different data"):
        registry.choose(tracking_uri, experiment="mixed")


def test_network_is_registered_once_under_a_name_and_the_next_is_version_2(finished):
    from mlflow import MlflowClient

    uri, first, second = finished
    made = registry.register(first.run_id, name=NAME, uri=uri, reason="the best")
    assert (made.uri, made.is_new) == (f"models:/{NAME}/1", True)
    again = registry.register(first.run_id, name=NAME, uri=uri)
    assert (again.uri, again.is_new) == (f"models:/{NAME}/1", False)
    other = registry.register(second.run_id, name=NAME, uri=uri)
    assert (other.uri, other.is_new) == (f"models:/{NAME}/2", True)
    version = MlflowClient(uri).get_model_version(NAME, "1")
    assert version.run_id == first.run_id
    assert "the best" in version.description
    assert "(8, 8)" in version.description


def test_a_description_shows_names_as_text(finished):
    from mlflow import MlflowClient

    uri, first, _ = finished
    link = "[x](javascript:alert(1))"
    made = registry.register(first.run_id, name="described", uri=uri, reason=link)
    description = MlflowClient(uri).get_model_version("described", str(made.number)).description
    assert "Chosen: [x\\](javascript:alert(1))" in description


@pytest.mark.parametrize("name", ["", " ", "..", "a/b", "a:1", "a\x1b[2J", "a\u202eb", "a\nb"])
def test_name_that_no_model_can_have_is_a_wrong_request(finished, name):
    uri, first, _ = finished
    with pytest.raises(RequestError, match="--register must be"):
        registry.register(first.run_id, name=name, uri=uri)


def test_unknown_run_is_a_wrong_request(finished):
    with pytest.raises(RequestError, match="there is no run"):
        registry.register("0" * 32, name=NAME, uri=finished[0])
