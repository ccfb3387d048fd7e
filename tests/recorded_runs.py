"""What tests look at of a run that has ended: its record, its model and its network."""

import warnings
from dataclasses import dataclass

import mlflow
import numpy as np

from fitgap import store
from fitgap.tracking import artifacts

ALL = ("RUNNING", "FINISHED", "FAILED", "KILLED")


@dataclass(frozen=True)
class Ended:
    """What a run's network was like at its end."""

    weights: np.ndarray
    probabilities: np.ndarray


class Watch:
    """Look at the networks of runs as their artifacts are written."""

    def __init__(self, patch):
        self.ended = []
        write = artifacts.write

        def look(folder, *, engine, data, **rest):
            weights = [weight.ravel() for weight in engine.model.get_weights()]
            self.ended.append(Ended(np.concatenate(weights), engine.predict(data.dataset.x_test)))
            write(folder, engine=engine, data=data, **rest)

        patch.setattr(artifacts, "write", look)


def runs_in(uri, statuses=ALL):
    return store.find_runs(uri, experiment="fitgap", statuses=statuses)


def only_run_in(uri):
    (found,) = runs_in(uri)
    return found


def histories(uri, run_id):
    """Return, for each metric, its values by step; fails if a step has two."""
    client = mlflow.MlflowClient(uri)
    found = {}
    for key in client.get_run(run_id).data.metrics:
        values = [(metric.step, metric.value) for metric in client.get_metric_history(run_id, key)]
        assert len(dict(values)) == len(values), f"{key} has two values at a step: {values}"
        found[key] = dict(sorted(values))
    return found


def load_model(uri, run_id, loader):
    """Load a run's model through MLflow, as a function of images."""
    mlflow.set_tracking_uri(uri)
    (output,) = mlflow.MlflowClient(uri).get_run(run_id).outputs.model_outputs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's, on its own versions and PyTorch's absence
        model = loader.load_model(f"models:/{output.model_id}")
    return lambda images: np.asarray(model.predict(images))


def scores_by_numpy(probabilities, y):
    """Return cross-entropy and accuracy from probabilities."""
    of_the_right_class = probabilities[np.arange(len(y)), y].astype(np.float64)
    return -np.log(of_the_right_class).mean(), (probabilities.argmax(axis=1) == y).mean()
