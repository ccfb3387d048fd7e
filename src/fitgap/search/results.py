"""The result of a search: in lines, and as a table of its trials."""

import csv
import io
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fitgap.config import program
from fitgap.search import optuna_study as search_study
from fitgap.search.settings import SearchSettings
from fitgap.search.space import Dimension, shortly
from fitgap.trust.text import cell

if TYPE_CHECKING:
    import optuna


def summary(
    study: "optuna.Study", *, settings: SearchSettings, space: Sequence[Dimension]
) -> list[str]:
    """Return the result, in lines."""
    from optuna.trial import TrialState

    metrics = list(settings.metrics)
    trials = study.get_trials(deepcopy=False)
    counts = {state: sum(t.state == state for t in trials) for state in TrialState}
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
    best = study.best_trials if several else [study.best_trial]
    lines.append("no trial is better in all metrics than:" if several else "best:")
    for trial in best:
        values = ", ".join(f"{m} {v:.4f}" for m, v in zip(metrics, trial.values, strict=True))
        chosen = " ".join(shortly(d.override(trial.params[d.name])) for d in space)
        lines.append(f"  trial {trial.number}: {values}  {chosen}")
    for metric, shares in search_study.importances(study, settings).items():
        lines.append(f"importance for {metric}, as shares of 1:")
        lines += [f"  {share:.2f}  {name}" for name, share in shares.items()]
    again = [*best[0].user_attrs["overrides"], "seed=0,1,2,3,4"]
    lines.append(
        "The best of many trials is also a lucky one; this shows what it is worth over seeds:"
    )
    lines.append(f"  {program.name()} train -m {shlex.join(again)}")
    return lines


def table(study: "optuna.Study", *, settings: SearchSettings, space: Sequence[Dimension]) -> str:
    """Return a search's trials as CSV: the settings of each, and its outcome."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [dimension.name for dimension in space]
    writer.writerow(["trial", "state", *settings.metrics, *names, "run_id"])
    for trial in study.get_trials(deepcopy=False):
        values = trial.values or [""] * len(settings.metrics)
        chosen = [d.override(trial.params[d.name]).partition("=")[2] for d in space]
        run_id = trial.user_attrs.get("run_id", "")
        writer.writerow([trial.number, trial.state.name, *values, *map(cell, chosen), run_id])
    return text.getvalue()
