"""The table that MLflow's UI opens with: which columns it shows, and the link to it."""

import json

# MLflow's UI takes it from a link, as ?viewStateShareKey=fitgap.
VIEW_KEY = "fitgap"
_COLUMNS = {
    "params": ("architecture.name", "optimizer.name", "seed"),
    "metrics": ("val/accuracy", "gap/accuracy", "train/accuracy", "val/loss"),
}
# Best first. Sorted by a metric, a sweep's runs are not hidden under their parent.
_VIEW = {
    "orderByKey": "metrics.`val/accuracy`",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "selectedColumns": [f"{kind}.`{name}`" for kind, names in _COLUMNS.items() for name in names],
}


def experiment_tags() -> dict[str, str]:
    """Return the tags of an experiment that hold its view for MLflow's UI."""
    return {
        # Has the UI open on training runs instead of on language models.
        "mlflow.experimentKind": "custom_model_development",
        f"mlflow.sharedViewState.{VIEW_KEY}": json.dumps(_VIEW),
    }


def link(experiment_id: str, *, server: str) -> str:
    """Return the address of an experiment's table; its charts are at compareRunsMode=CHART.

    Parameters
    ----------
    experiment_id
        MLflow's.
    server
        As ``http://127.0.0.1:5000``.
    """
    view = f"viewStateShareKey={VIEW_KEY}&compareRunsMode=TABLE"
    return f"{server}/#/experiments/{experiment_id}/runs?{view}"
