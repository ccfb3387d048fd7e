"""The pictures of docs/HOW_A_NETWORK_LEARNS.md, drawn from what its code has computed.

So text, code and pictures cannot tell different stories.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fitgap.tracking.run_pictures import BLUE, GREY, ORANGE


def draw(page: Mapping[str, Any]) -> dict[str, Figure]:
    """Draw all pictures, by the names of their files.

    Parameters
    ----------
    page
        What the page has defined, from `fitgap_lab.verification.walkthrough.run`.
    """
    return {
        "walkthrough_batch": _batch(page),
        "walkthrough_slope": _slope(page),
        "walkthrough_epoch": _epoch(page),
        "walkthrough_probabilities": _probabilities(page),
    }


def _batch(page: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(8, 1.5))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.88, hspace=0.3, wspace=0.05)
    for axes, image, label in zip(
        figure.subplots(2, 16).flat, page["images"], page["labels"], strict=False
    ):
        axes.imshow(image, cmap="gray_r")
        axes.set_title(str(label), fontsize=10, pad=3)
        axes.set_axis_off()
    return figure


def _slope(page: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    weight = float(page["K1"][13 * 28 + 14, 0])
    changes = np.linspace(-1.5, 1.5, 61)
    losses = [page["loss_with"](change) for change in changes]
    tangent = page["loss_with"](0) + page["slope"] * changes
    axes.plot(weight + changes, losses, color=BLUE, label="loss of the batch")
    axes.plot(weight + changes, tangent, "--", color=ORANGE, label=f"slope {page['slope']:.4f}")
    axes.plot(weight, page["loss_with"](0), "o", color=GREY, label="where it stands")
    axes.set(xlabel="weight from pixel (13, 14) to unit 0", ylabel="loss")
    axes.legend(frameon=False)
    return figure


def _epoch(page: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(page["losses"]) + 1), page["losses"], color=BLUE, linewidth=1)
    axes.axhline(np.log(10), color=GREY, linestyle="--", label="guessing: log 10")
    axes.set(xlabel="batch", ylabel="loss before its update", ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def _probabilities(page: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    picture, before, after = figure.subplots(1, 3, width_ratios=(1, 2, 2))
    image, label = page["images"][0], int(page["labels"][0])
    picture.imshow(image, cmap="gray_r")
    picture.set_title(f"label {label}")
    picture.set_axis_off()
    learned = page["network"].predict(page["images"][:1])[0]
    for axes, title, shown in (
        (before, "initial weights", page["probabilities"][0]),
        (after, "after one epoch", learned),
    ):
        colours = [ORANGE if digit == label else BLUE for digit in range(10)]
        axes.bar(range(10), shown, color=colours)
        axes.set(title=title, xlabel="class", ylabel="probability", ylim=(0, 1))
        axes.set_xticks(range(10))
    return figure
