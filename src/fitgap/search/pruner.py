"""The pruner of a search: what its trials must reach by each epoch, as a setting of their runs.

`fitgap.training.pruning` stops the runs that do not reach it.
"""

from collections.abc import Mapping, Sequence

from fitgap.search.settings import SearchSettings
from fitgap.training import pruning


def override(
    histories: Sequence[Mapping[int, float]], *, settings: SearchSettings, epochs: int
) -> str | None:
    """Return the override that has a trial's run stopped if it is behind earlier trials.

    Parameters
    ----------
    histories
        The first metric by epoch, from 1, of each trial that has finished.
    settings
        Of the search, resolved for its experiment.
    epochs
        How many a trial has at most.

    Returns
    -------
    str or None
        None if nothing is to be pruned, or not yet.
    """
    if settings.pruner == "none":
        return None
    bounds = pruning.bounds(
        histories,
        epochs=epochs,
        startup_trials=settings.pruning_startup_trials,
        warmup=settings.pruning_warmup_epochs,
    )
    if all(bound is None for bound in bounds):
        return None
    metric, direction = settings.metrics[0], settings.resolved_directions()[0]
    written = ",".join("null" if bound is None else repr(bound) for bound in bounds)
    return f"++tracking.pruning={{metric:{metric},direction:{direction},bounds:[{written}]}}"
