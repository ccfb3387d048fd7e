"""The picture of a learning curve: scores by number of training images, and the fitted law."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fitgap.comparison.learning_curve import Forecast, Point

# Okabe and Ito's palette, as in `fitgap.tracking.run_pictures`.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"


def draw(found: Sequence[Point], told: Forecast, *, title: str) -> Figure:
    """Draw accuracy and loss against the number of images, training and validation.

    Parameters
    ----------
    found
        From `fitgap.comparison.learning_curve.points`.
    told
        Its law is drawn dashed, beyond the largest size only where it is believed.
    title
        What was trained.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    figure.suptitle(title, fontsize=10)
    accuracy, loss = figure.subplots(1, 2)
    for axes, quantity in ((accuracy, "accuracy"), (loss, "loss")):
        for part, name, style, colour in (
            ("train", "training", "o-", BLUE),
            ("val", "validation", "s-", ORANGE),
        ):
            _draw_curve(axes, found, f"{part}/{quantity}", name=name, style=style, colour=colour)
        axes.set(xlabel="training images", ylabel=quantity, xscale="log")
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", labelrotation=30)
        axes.grid(alpha=0.3)
    if told.law is not None:
        last = found[-1].images
        reach = 2 * last if told.gain is not None else last
        images = np.geomspace(told.first, reach, 100)
        is_believed = told.gain is not None
        label = "power law" if is_believed else "power law (not believed)"
        accuracy.plot(images, 1 - told.law.error(images), "--", color=GREY, label=label)
        if told.gain is not None and told.gain.low is not None and told.gain.high is not None:
            now = 1 - float(told.law.error(last))
            bounds = [now + told.gain.low, now + told.gain.high]
            accuracy.plot([reach, reach], bounds, color=GREY, linewidth=3, alpha=0.6)
            accuracy.annotate(
                "twice the data",
                (reach, bounds[1]),
                ha="right",
                va="bottom",
                fontsize=8,
                color=GREY,
                xytext=(0, 5),
                textcoords="offset points",
            )
    accuracy.legend(frameon=False, fontsize=8)
    return figure


def _draw_curve(
    axes: Axes, found: Sequence[Point], metric: str, *, name: str, style: str, colour: str
) -> None:
    images = [point.images for point in found]
    scores = [point.scores[metric] for point in found]
    low = [s.mean if s.low is None else s.low for s in scores]
    high = [s.mean if s.high is None else s.high for s in scores]
    axes.fill_between(images, low, high, color=colour, alpha=0.2, linewidth=0)
    means = [score.mean for score in scores]
    axes.plot(images, means, style, color=colour, markersize=4, label=name)
