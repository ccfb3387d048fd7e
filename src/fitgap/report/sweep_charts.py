"""The pictures of sweeps with one question: remedies, the learning curve, a race."""

from fitgap.charts.picture import Picture
from fitgap.comparison import learning_curve, race_log, remedies, sweep_results
from fitgap.report import learning_curve_chart, race_chart, race_table, remedies_chart

KINDS = ("remedies", "learning-curve", "race")


def draw(
    kind: str, *, uri: str, experiment: str, sweep: str | None = None, title: str = ""
) -> Picture:
    """Draw what the newest sweep of a kind found.

    Parameters
    ----------
    kind
        One of `KINDS`.
    uri, experiment
        Where its runs are.
    sweep
        Run id of its parent, to take that one instead of the newest.
    title
        Said above the picture; none: what was trained.

    Raises
    ------
    RequestError
        If there is no such sweep, or its runs do not show it.
    """
    if kind == "race":
        log = race_log.read(uri=uri, experiment=experiment)
        return race_chart.draw(log, title=title or race_table.heading(log))
    is_of_remedies = kind == "remedies"
    results = sweep_results.read(
        uri,
        experiment=experiment,
        setting=remedies.SETTING if is_of_remedies else learning_curve.SETTING,
        sweep=sweep,
        start=remedies.START if is_of_remedies else learning_curve.START,
    )
    title = title or sweep_results.title(results)
    if is_of_remedies:
        return remedies_chart.draw(remedies.effects(results.runs), title=title)
    found = learning_curve.curve(results.runs)
    return learning_curve_chart.draw(found, learning_curve.forecast(found), title=title)
