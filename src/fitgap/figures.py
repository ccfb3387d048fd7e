"""Pictures of one run: learning curves and confusion matrix.

matplotlib's figures are used without pyplot, so nothing global is kept and no window opens.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fitgap.training import Epoch

# Okabe and Ito's palette: told apart with any colour vision, and by line style besides.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"


def learning_curves(epochs: Sequence[Epoch]) -> Figure:
    """Draw loss and accuracy by epoch, the gap between training and validation shaded.

    Parameters
    ----------
    epochs
        The figures of a run, in order. Exact ones where there are any; the running averages
        besides, dotted.
    """
    figure = Figure(figsize=(8, 3.2))
    # Margins by hand: matplotlib's layout engines draw everything twice to find them.
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.15, top=0.96, wspace=0.22)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        _draw_curves(axes, epochs, quantity)
    return figure


def _draw_curves(axes: Axes, epochs: Sequence[Epoch], quantity: str) -> None:
    number = [epoch.number for epoch in epochs]
    train = [getattr(epoch.train, quantity, np.nan) for epoch in epochs]
    val = [getattr(epoch.val, quantity, np.nan) for epoch in epochs]
    running = [getattr(epoch.running, quantity) for epoch in epochs]
    axes.plot(number, running, ":", color=GREY, label="running (Keras)")
    if not np.isnan(train).all():
        axes.plot(number, train, "o-", color=BLUE, markersize=3, label="train")
    if not np.isnan(val).all():
        axes.plot(number, val, "s--", color=ORANGE, markersize=3, label="validation")
        axes.fill_between(number, train, val, color=ORANGE, alpha=0.15, label="gap")
    axes.set(xlabel="epoch", ylabel=quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8)


def confusion_matrix(counts: NDArray[np.int64], class_names: Sequence[str]) -> Figure:
    """Draw how many images of each class were taken for which.

    Parameters
    ----------
    counts
        Shape (num_classes, num_classes); rows are true classes, columns predicted ones.
    class_names
        One per class.
    """
    size = 2.0 + 0.42 * len(class_names)
    margin = 0.35 + 0.075 * max(map(len, class_names))
    figure = Figure(figsize=(size, size))
    figure.subplots_adjust(left=margin / size, bottom=margin / size, right=0.97, top=0.97)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, class_names)
    axes.set(xlabel="predicted", ylabel="true")
    for row, column in np.argwhere(counts):
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=8,
            color="white" if shares[row, column] > 0.5 else "black",
        )
    return figure
