"""Pictures of one run: learning curves, confusion matrix, predicted images.

matplotlib's figures are used without pyplot, so nothing global is kept and no window opens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fitgap.training import Epoch

if TYPE_CHECKING:
    from fitgap.prediction import Predictions

NAMED_SHARE = 0.01

# Okabe and Ito's palette: told apart with any colour vision, and by line style besides.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"

MOST_IMAGES = 100  # of a picture of predictions: more are too small to see
IMAGES_PER_ROW = 5


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; pixels count here more than bytes, so it is packed lightly."""
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})


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
    axes.legend(frameon=False, fontsize=8)
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


def confusion_matrix(counts: NDArray[np.int64], class_names: Sequence[str]) -> Figure:
    """Draw how many images of each class were taken for which.

    Cells with less than a hundredth of their row's images stay without a number.

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
    # A number in every cell would hide those that matter, and text is what takes the time.
    for row, column in np.argwhere(shares >= NAMED_SHARE):
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


def predictions(predicted: "Predictions") -> Figure:
    """Draw images, as the network got them, with the class it sees and, if known, the true one.

    Parameters
    ----------
    predicted
        The first `MOST_IMAGES` of them are drawn, `IMAGES_PER_ROW` in a row.
    """
    count = min(len(predicted.sources), MOST_IMAGES)
    columns = min(count, IMAGES_PER_ROW)
    rows = -(-count // columns)
    figure = Figure(figsize=(1.9 * columns, 2.2 * rows))
    # Room above each image for its two lines, in shares of an image's height.
    figure.subplots_adjust(
        left=0.02, right=0.98, bottom=0.1 / (2.2 * rows), top=1 - 0.5 / (2.2 * rows), hspace=0.35
    )
    all_axes = figure.subplots(rows, columns, squeeze=False).flat
    for i, axes in enumerate(all_axes):
        axes.axis("off")
        if i >= count:
            continue
        source = predicted.sources[i]
        said = f"{predicted.class_names[predicted.predicted[i]]}, p = {predicted.confidence[i]:.4f}"
        if predicted.labels is None:
            colour, shown_as, title = "black", "gray", f"{said}\n{_short(Path(str(source)).name)}"
        else:
            is_right = predicted.predicted[i] == predicted.labels[i]
            colour, shown_as = (BLUE if is_right else ORANGE), "gray_r"
            true = predicted.class_names[predicted.labels[i]]
            title = f"{'✓' if is_right else '✗'} {said}\nimage {source}, true: {true}"
        axes.imshow(predicted.images[i].squeeze(), cmap=shown_as, vmin=0, vmax=255)
        axes.set_title(title, color=colour, fontsize=8)
    return figure


def _short(name: str, *, most: int = 24) -> str:
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 + 1 :]}"
