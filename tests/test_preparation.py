"""Several processes may be the first to use a store."""

import pytest
from mlflow import MlflowClient

from fitgap.tracking import setup


@pytest.fixture
def overtaken(monkeypatch):
    """Have another process act between a look for an experiment and what follows from it."""

    def overtake(act):
        look, acts = MlflowClient.get_experiment_by_name, [act]

        def overtaken_look(client, name):
            found = look(client, name)
            if acts:
                acts.pop()(client)
            return found

        monkeypatch.setattr(MlflowClient, "get_experiment_by_name", overtaken_look)

    return overtake


def test_an_experiment_that_another_process_makes_at_the_same_time_is_used(tracking_uri, overtaken):
    made = []
    overtaken(lambda client: made.append(client.create_experiment("new")))
    assert [setup.prepare(tracking_uri, "new")] == made


def test_an_experiment_that_another_process_restores_at_the_same_time_is_used(
    tracking_uri, overtaken
):
    client = MlflowClient(tracking_uri)
    deleted = client.create_experiment("deleted")
    client.delete_experiment(deleted)
    overtaken(lambda client: client.restore_experiment(deleted))
    assert setup.prepare(tracking_uri, "deleted") == deleted
    assert client.get_experiment(deleted).lifecycle_stage == "active"


def test_what_the_store_refuses_is_raised(tracking_uri, monkeypatch):
    def refuse(*_arguments, **_named):
        raise setup.mlflow.MlflowException("no room")

    monkeypatch.setattr(MlflowClient, "create_experiment", refuse)
    with pytest.raises(setup.mlflow.MlflowException, match="no room"):
        setup.prepare(tracking_uri, "new")
