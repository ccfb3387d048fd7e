"""The pictures of one run: its curves with the gap between them, and what it takes for what."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitgap import store
from fitgap.comparison.gap_curves import EPOCHS
from fitgap.errors import RequestError
from fitgap.report.drawing import Picture, epoch_axis
from fitgap.store import StoredRun
from fitgap.store.predictions import StoredPredictions

NAMED_SHARE = 0.02  # of its row's samples: a cell with fewer stays without a number
MOST_CLASSES = 40  # of a confusion matrix; of more, no name can be read
WIDTH, HEIGHT, CELL = 380, 240, 34


def curves(
    run: StoredRun,
    history: Mapping[str, Mapping[int, float]],
    *,
    metrics: Sequence[str] = (),
    title: str = "",
) -> Picture:
    """Draw a run's metrics by epoch, training dashed and validation solid, the gap shaded.

    Parameters
    ----------
    run
        Of the record, finished or not.
    history
        Its values by metric and step.
    metrics
        Without their partitions; none: the loss and whatever else it has of both partitions.
    title
        Said above the picture.

    Raises
    ------
    RequestError
        If it has no curve of them.
    """
    import altair as alt

    epochs = set(history.get(EPOCHS, {}))
    names = list(metrics) or _metrics_of(history)
    panels = [
        _panel(history, name, epochs)
        for name in names
        if any(history.get(f"{part}/{name}") for part in ("train", "val"))
    ]
    if not panels:
        raise RequestError(f"run {run.run_id} has no curve of {', '.join(names) or 'anything'} yet")
    return Picture(alt.hconcat(*panels), title)


def confusion(counts: NDArray[np.int64], class_names: Sequence[str], *, title: str = "") -> Picture:
    """Draw how many samples of each class were taken for which.

    Parameters
    ----------
    counts
        Shape (num_classes, num_classes); rows are true classes, columns predicted ones.
    class_names
        One per class.
    title
        Said above the picture.

    Raises
    ------
    RequestError
        If there are more than `MOST_CLASSES` classes.
    """
    import altair as alt

    if len(class_names) > MOST_CLASSES:
        raise RequestError(
            f"a confusion matrix of {len(class_names)} classes cannot be read; the report lists "
            "the most frequent confusions"
        )
    # Numbered, since two classes may have one name.
    names = [f"{name} ({i})" if class_names.count(name) > 1 else name
             for i, name in enumerate(class_names)]  # fmt: skip
    totals = np.maximum(counts.sum(axis=1), 1)
    rows = [
        {
            "true": names[i],
            "predicted": names[j],
            "count": int(counts[i, j]),
            "share": float(counts[i, j] / totals[i]),
            "text": str(counts[i, j]) if counts[i, j] / totals[i] >= NAMED_SHARE else "",
        }
        for i in range(len(names))
        for j in range(len(names))
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("predicted:N", sort=names, axis=alt.Axis(labelAngle=-45)),
        y=alt.Y("true:N", sort=names),
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), title="share of the row"
        ),
        tooltip=["true:N", "predicted:N", "count:Q", alt.Tooltip("share:Q", format=".1%")],
    )
    numbers = base.mark_text(fontSize=10).encode(
        text="text:N",
        color=alt.condition("datum.share > 0.5", alt.value("#ffffff"), alt.value("#000000")),
    )
    side = CELL * len(names)
    return Picture(alt.layer(cells, numbers).properties(width=side, height=side), title)


def counts_of(predicted: StoredPredictions, class_names: Sequence[str]) -> NDArray[np.int64]:
    """Return the confusion matrix of a run's test samples.

    Raises
    ------
    RequestError
        If the record does not name its classes, or fewer than were predicted.
    """
    last = int(max(predicted.true.max(), predicted.predicted.max()))
    if last >= len(class_names):
        raise RequestError(
            f"the run's record names {len(class_names)} classes, but its predictions have "
            f"class number {last}"
        )
    return predicted.confusion(len(class_names))


def history_of(run: StoredRun, *, uri: str) -> dict[str, dict[int, float]]:
    """Return a run's values by metric and step, of what `curves` draws."""
    names = {metric.partition("/")[2] for metric in run.metrics if metric.startswith("train/")}
    keys = [f"{part}/{name}" for name in sorted(names) for part in ("train", "val")]
    found = store.metric_histories(uri, run_ids=[run.run_id], keys=[EPOCHS, *keys])
    return found[run.run_id]


def _metrics_of(history: Mapping[str, Mapping[int, float]]) -> list[str]:
    names = sorted({key.partition("/")[2] for key in history if key.startswith(("train/", "val/"))})
    several = [name for name in names if len(history.get(f"val/{name}", {})) > 1]
    return sorted(several or names, key=lambda name: (name != "loss", name))[:3]


def _panel(
    history: Mapping[str, Mapping[int, float]], metric: str, epochs: set[int]
) -> Any:  # altair's charts have no types here
    import altair as alt

    values = {
        part: {
            epoch: value
            for epoch, value in history.get(f"{part}/{metric}", {}).items()
            # A step after the last epoch has the saved weights' figures.
            if math.isfinite(value) and (not epochs or epoch in epochs)
        }
        for part in ("train", "val")
    }
    rows = [
        {"epoch": epoch, "value": value, "data": "training" if part == "train" else "validation"}
        for part, found in values.items()
        for epoch, value in found.items()
    ]
    both = sorted(values["train"].keys() & values["val"].keys())
    shaded = [
        {"epoch": epoch, "train": values["train"][epoch], "val": values["val"][epoch]}
        for epoch in both
    ]
    last = max((epoch for found in values.values() for epoch in found), default=1)
    across = alt.X(
        "epoch:Q",
        title="epoch",
        scale=alt.Scale(nice=False),
        axis=epoch_axis(1, last),
    )
    up = alt.Scale(zero=False)
    gap = (
        alt.Chart(alt.Data(values=shaded))
        .mark_area(opacity=0.18, color="muted")
        .encode(x=across, y=alt.Y("train:Q", scale=up, title=metric), y2="val:Q")
    )
    lines = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(strokeWidth=2, point=last <= 40)
        .encode(
            x=across,
            y=alt.Y("value:Q", scale=up, title=metric),
            color=alt.Color(
                "data:N",
                scale=alt.Scale(domain=["training", "validation"], range=["group-1", "group-2"]),
                legend=alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=500),
            ),
            strokeDash=alt.StrokeDash(
                "data:N",
                scale=alt.Scale(domain=["training", "validation"], range=[[5, 4], [1, 0]]),
                legend=alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=500),
            ),
            tooltip=["data:N", "epoch:Q", alt.Tooltip("value:Q", title=metric, format=".4f")],
        )
    )
    return alt.layer(gap, lines).properties(width=WIDTH, height=HEIGHT)
