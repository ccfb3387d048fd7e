"""A run's curves by epoch, with the gap between training and validation shaded."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from fitgap import store
from fitgap.charts import marks
from fitgap.charts.picture import Picture
from fitgap.charts.scales import epoch_axis
from fitgap.errors import RequestError
from fitgap.store import StoredRun

WIDTH, HEIGHT = 380, 240
MOST_PANELS = 3
MOST_EPOCHS_WITH_POINTS = 40
# The running averages stand in where no exact figures of the training data were taken.
NAMES = {"train": "training", "val": "validation", "running": "training (running average)"}
COLOURS, DASHES = ["group-1", "group-2", "muted"], [[5, 4], [1, 0], [2, 3]]

History = Mapping[str, Mapping[int, float]]


def draw(history: History, *, metrics: Sequence[str] = (), title: str = "") -> Picture:
    """Draw a run's metrics by epoch: training dashed, validation solid, the gap shaded.

    Parameters
    ----------
    history
        Its values by metric (``train/loss``) and epoch.
    metrics
        Without their partitions; none: the loss and up to two others.
    title
        Said above the picture.

    Raises
    ------
    RequestError
        If it has no curve of them.
    """
    names = list(metrics) or _metrics_of(history)
    panels = [
        _panel(history, name)
        for name in names
        if any(history.get(f"{part}/{name}") for part in NAMES)
    ]
    if not panels:
        raise RequestError(f"the run has no curve of {', '.join(names) or 'anything'} yet")
    return Picture(alt.hconcat(*panels), title)


def history_of(run: StoredRun, *, uri: str) -> dict[str, dict[int, float]]:
    """Return a recorded run's values by metric and epoch, of what `draw` shows."""
    names = {metric.partition("/")[2] for metric in run.metrics if metric.startswith("train/")}
    keys = [f"{part}/{name}" for name in sorted(names) for part in ("train", "val")]
    found = store.metric_histories(uri, run_ids=[run.run_id], keys=[store.EPOCHS, *keys])
    return found[run.run_id]


def _metrics_of(history: History) -> list[str]:
    exact = [key for key in history if key.startswith(("train/", "val/"))]
    keys = exact or [key for key in history if key.startswith("running/")]
    found = {key.partition("/")[2] for key in keys}
    several = {key.partition("/")[2] for key in keys if len(history[key]) > 1}
    return sorted(several or found, key=lambda name: (name != "loss", name))[:MOST_PANELS]


def _panel(history: History, metric: str) -> Any:  # altair's charts have no types here
    # A step after the last epoch has the saved weights' figures.
    epochs = set(history.get(store.EPOCHS, {}))
    values = {
        part: {
            epoch: value
            for epoch, value in history.get(f"{part}/{metric}", {}).items()
            if math.isfinite(value) and (not epochs or epoch in epochs)
        }
        for part in NAMES
    }
    if values["train"]:
        del values["running"]
    shown = [part for part, found in values.items() if found]
    last = max((epoch for found in values.values() for epoch in found), default=1)
    across = alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False), axis=epoch_axis(1, last))
    up = alt.Scale(zero=False)
    both = sorted(values["train"].keys() & values["val"].keys())
    shaded = [{"epoch": i, "train": values["train"][i], "val": values["val"][i]} for i in both]
    gap = (
        marks.of_rows(shaded)
        .mark_area(opacity=0.18, color="muted")
        .encode(x=across, y=alt.Y("train:Q", scale=up, title=metric), y2="val:Q")
    )
    rows = [
        {"epoch": epoch, "value": value, "data": NAMES[part]}
        for part in shown
        for epoch, value in values[part].items()
    ]
    domain = [NAMES[part] for part in shown]
    colours, dashes = ([of[list(NAMES).index(part)] for part in shown] for of in (COLOURS, DASHES))
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=500)
    lines = (
        marks.of_rows(rows)
        .mark_line(strokeWidth=2, point=last <= MOST_EPOCHS_WITH_POINTS)
        .encode(
            x=across,
            y=alt.Y("value:Q", scale=up, title=metric),
            color=alt.Color("data:N", scale=alt.Scale(domain=domain, range=colours), legend=legend),
            strokeDash=alt.StrokeDash(
                "data:N", scale=alt.Scale(domain=domain, range=dashes), legend=legend
            ),
            tooltip=["data:N", "epoch:Q", alt.Tooltip("value:Q", title=metric, format=".4f")],
        )
    )
    return alt.layer(gap, lines).properties(width=WIDTH, height=HEIGHT)
