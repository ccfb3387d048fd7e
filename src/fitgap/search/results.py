"""The results of a search: as printed lines, as a table of its trials, and in its parent run."""

import csv
import io
import json
from collections import Counter
from typing import TYPE_CHECKING

from fitgap.config import program
from fitgap.evaluation.figures import figure_text
from fitgap.search.space import short_override
from fitgap.search.study import SearchStudy
from fitgap.sweep import endings
from fitgap.trust.text import cell

if TYPE_CHECKING:
    from fitgap.tracking.sweep_writer import SweepRecord


def summary(study: SearchStudy, *, uri: str) -> list[str]:
    """Return the printed lines: how many trials ended how, the best ones, and what mattered.

    Parameters
    ----------
    study
        Of the search.
    uri
        Of the store that its trials are in.
    """
    from optuna.trial import TrialState

    metrics = list(study.settings.metrics)
    trials = study.trials
    counts = Counter(trial.state for trial in trials)
    lines = [
        f"{len(trials)} trials: {counts[TrialState.COMPLETE]} finished, "
        f"{counts[TrialState.PRUNED]} pruned, {counts[TrialState.FAIL]} failed"
    ]
    lines += [
        f"  trial {t.number} failed: {t.user_attrs.get('failure') or 'not a finite value'}"
        for t in trials
        if t.state == TrialState.FAIL
    ]
    if not counts[TrialState.COMPLETE]:
        return lines
    several = len(metrics) > 1
    best = study.best_trials
    lines.append("no trial is better in all metrics than:" if several else "best:")
    for trial in best:
        values = ", ".join(
            f"{m} {figure_text(v)}" for m, v in zip(metrics, trial.values, strict=True)
        )
        chosen = " ".join(short_override(d.override(trial.params[d.name])) for d in study.space)
        lines.append(f"  trial {trial.number}: {values}  {chosen}")
    for metric, shares in study.importances().items():
        lines.append(f"importance for {metric}, as shares of 1:")
        lines += [f"  {share:.2f}  {name}" for name, share in shares.items()]
    again = [*best[0].user_attrs.get("overrides", []), "seed=0,1,2,3,4"]
    lines.append(
        "The best of many trials is also a lucky one; this shows what it is worth over seeds:"
    )
    lines.append(f"  {program.name()} train -m {endings.as_words(again, uri=uri)}")
    return lines


def record(study: SearchStudy, parent: "SweepRecord") -> None:
    """Add the table of trials and the importances of the settings to a search's parent run."""
    parent.log_text(table(study), "trials.csv")
    importances = study.importances()
    parent.log_text(json.dumps(importances, indent=1, ensure_ascii=False), "importances.json")
    parent.log_metrics(
        {
            f"importance/{metric}/{name}": share
            for metric, shares in importances.items()
            for name, share in shares.items()
        },
        step=len(study.trials),
    )


def table(study: SearchStudy) -> str:
    """Return a search's trials as CSV: the settings of each, and its outcome."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    metrics, space = study.settings.metrics, study.space
    names = [dimension.name for dimension in space]
    writer.writerow(["trial", "state", *metrics, *names, "run_id"])
    for trial in study.trials:
        values = trial.values or [""] * len(metrics)
        chosen = [d.override(trial.params[d.name]).partition("=")[2] for d in space]
        run_id = trial.user_attrs.get("run_id", "")
        writer.writerow([trial.number, trial.state.name, *values, *map(cell, chosen), run_id])
    return text.getvalue()
