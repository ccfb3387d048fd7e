"""The picture of what remedies brought: a row each, its two changes with their intervals."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fitgap.comparison.estimates import Estimate
from fitgap.comparison.remedies import BASELINE, Effect, direction

# Okabe and Ito's palette: blue is wanted, orange the contrary.
GOOD, BAD, UNCLEAR = "#0072B2", "#D55E00", "#777777"


def draw(found: Sequence[Effect], *, title: str) -> Figure:
    """Draw the changes of validation accuracy and gap side by side, the largest gain on top.

    An interval that lies wholly on one side of zero is coloured, and filled besides.

    Parameters
    ----------
    found
        From `fitgap.comparison.remedies.effects`.
    title
        What was trained.
    """
    shown = [one for one in found if one.remedy != BASELINE]
    baseline = next(one for one in found if one.remedy == BASELINE)
    figure = Figure(figsize=(8, 1.9 + 0.34 * len(shown)), layout="constrained")
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(
        f"intervals over {baseline.val.n} seeds, all at once 95 %; blue: better, orange: worse, "
        "grey: not told apart from no change",
        fontsize=8,
    )
    accuracy, gap = figure.subplots(1, 2, sharey=True)
    for axes, changes, wanted, label in (
        (accuracy, [one.val_change for one in shown], 1, "validation accuracy"),
        (gap, [one.gap_change for one in shown], -1, "gap (training - validation)"),
    ):
        axes.axvline(0, color="black", linewidth=0.8)
        for row, change in enumerate(changes):
            _interval(axes, row, change, wanted=wanted)
        axes.set_xlabel(f"change of {label}, points\n{'right' if wanted > 0 else 'left'} is better")
        axes.grid(axis="x", alpha=0.3)
    accuracy.set_yticks(range(len(shown)), [one.remedy for one in shown])
    accuracy.invert_yaxis()
    accuracy.set_title(f"baseline {baseline.val.mean:.4f}", fontsize=9)
    gap.set_title(f"baseline {baseline.gap.mean:+.4f}", fontsize=9)
    return figure


def _interval(axes: Axes, row: int, change: Estimate, *, wanted: int) -> None:
    towards = direction(change) * wanted
    colour = {1: GOOD, -1: BAD, 0: UNCLEAR}[towards]
    low = change.mean if change.low is None else change.low
    high = change.mean if change.high is None else change.high
    axes.plot([100 * low, 100 * high], [row, row], color=colour)
    face = colour if towards else "white"
    axes.plot(100 * change.mean, row, "o", color=colour, markerfacecolor=face, markersize=6)
