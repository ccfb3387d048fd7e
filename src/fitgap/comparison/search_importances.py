"""The importances that the searches of an experiment found, from their parent runs' record."""

from collections.abc import Iterable
from dataclasses import dataclass

from fitgap import store
from fitgap.tag_names import ROLE_TAG

IMPORTANCE = "importance/"  # metrics of a search's parent run: importance/<metric>/<setting>


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found about its settings.

    Attributes
    ----------
    name
        Of its parent run.
    importances
        By metric, the settings with their shares of what moved it, the largest first.
    """

    name: str
    importances: dict[str, list[tuple[str, float]]]


def searches_of(uri: str, *, experiment: str) -> tuple[Search, ...]:
    """Return the searches with enough trials for importances, newest first.

    Parameters
    ----------
    uri
        Of the record.
    experiment
        Its name.
    """
    parents = store.find_runs(
        uri,
        experiment=experiment,
        statuses=("FINISHED", "FAILED", "KILLED"),
        tags={ROLE_TAG: "sweep"},
    )
    searches = []
    for parent in parents:
        importances: dict[str, list[tuple[str, float]]] = {}
        for name, share in sorted(parent.metrics.items(), key=lambda item: -item[1]):
            if name.startswith(IMPORTANCE):
                metric, _, setting = name.removeprefix(IMPORTANCE).rpartition("/")
                importances.setdefault(metric, []).append((setting, share))
        if importances:
            searches.append(Search(parent.name, importances))
    return tuple(searches)


def in_words(searches: Iterable[Search]) -> list[str]:
    """Return a line for each search and metric: the share of each setting in its changes."""
    return [
        f"Search {search.name!r}, what mattered for {metric} by Optuna: "
        + ", ".join(f"{setting} {share:.2f}" for setting, share in settings)
        for search in searches
        for metric, settings in search.importances.items()
    ]
