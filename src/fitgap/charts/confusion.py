"""Which class was taken for which, as a picture."""

from collections.abc import Sequence

import altair as alt
import numpy as np
from numpy.typing import NDArray

from fitgap.charts import labels, marks
from fitgap.charts.picture import Picture
from fitgap.errors import RequestError
from fitgap.store.predictions import StoredPredictions
from fitgap.trust.text import line

NAMED_SHARE = 0.02  # of its row's samples: a cell with fewer stays without a number
MOST_CLASSES = 40  # of a confusion matrix; of more, no name can be read
CELL = 34  # units of a cell's side


def draw(counts: NDArray[np.int64], class_names: Sequence[str], *, title: str = "") -> Picture:
    """Draw how many samples of each class were taken for which.

    Parameters
    ----------
    counts
        Shape (num_classes, num_classes); rows are true classes, columns predicted ones.
    class_names
        One per class.
    title
        Of the picture.

    Raises
    ------
    RequestError
        If there are more than `MOST_CLASSES` classes.
    """
    if len(class_names) > MOST_CLASSES:
        raise RequestError(
            f"a confusion matrix of {len(class_names)} classes cannot be read; the report lists "
            "the most frequent confusions"
        )
    # Numbered, since two classes may have one name.
    names = [f"{line(name)} ({i})" if class_names.count(name) > 1 else line(name)
             for i, name in enumerate(class_names)]  # fmt: skip
    names = list(labels.short_names(names).values())
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
    base = marks.of_rows(rows).encode(
        x=alt.X(
            "predicted:N", sort=names, axis=alt.Axis(labelAngle=labels.slant(names, room=CELL))
        ),
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
