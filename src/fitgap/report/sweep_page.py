"""What a sweep's parent run shows in MLflow's UI: note, leaderboard, report, pictures.

It is made of the record, after the runs: of those this sweep trained and of those that earlier ones
had finished. Nothing here can fail a sweep.
"""

import contextlib
import math
import shlex
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from fitgap import store
from fitgap.comparison.groups import Comparison, Section
from fitgap.comparison.ranking import compare
from fitgap.console import warn
from fitgap.errors import RequestError, first_line
from fitgap.experiment import Plan
from fitgap.report.leaderboard import BEST, TIE, figure_names, label_of, mark_of
from fitgap.report.terminal import to_csv, to_json, to_markdown
from fitgap.store import StoredRun
from fitgap.tag_names import FAILURE_TAG, IDENTITY_TAG, ROLE_TAG, SWEEP_TAG
from fitgap.tracking import mlflow_ui
from fitgap.trust.text import markdown, markdown_code

NOTE_TAG = "mlflow.note.content"
MOST_NOTE = 7_500  # characters; MLflow keeps 8,000 of a tag
MOST_ROWS = 10  # of the note's leaderboard
MOST_FAILURES = 10  # in the note
PICTURES = ("curves", "gap")
BETWEEN = "&emsp;"  # columns of the note, which MLflow draws without any room


def publish(parent: str, plans: Sequence[Plan]) -> None:
    """Show the outcome of a sweep at its parent run.

    What goes wrong is said on stderr: the runs are recorded, and `fitgap report` makes the
    same of them.

    Parameters
    ----------
    parent
        Run id of the parent run.
    plans
        Of all jobs of the sweep, those finished before among them.
    """
    try:
        _publish(parent, plans)
    except Exception as error:  # the runs are recorded, whatever is wrong with the page
        reason = f"{type(error).__name__}: {first_line(error)}"
        warn(f"warning: the sweep's own page could not be made: {reason}")


def _publish(parent: str, plans: Sequence[Plan]) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    uri, experiment = plans[0].uri, plans[0].config.tracking.experiment
    runs = runs_of({plan.identity for plan in plans}, uri=uri, experiment=experiment)
    failures = store.find_runs(
        uri,
        experiment=experiment,
        statuses=("FAILED", "KILLED"),
        tags={SWEEP_TAG: parent, ROLE_TAG: "run"},
    )
    client = MlflowClient(uri)
    comparison = compare(runs) if runs else Comparison((), ())
    with tempfile.TemporaryDirectory(prefix="fitgap-") as folder:
        if runs:
            write(Path(folder), comparison, uri=uri, experiment=experiment, failures=failures)
        written = sorted(path.name for path in Path(folder).iterdir())
        if written:
            client.log_artifacts(parent, folder)
    if comparison.sections and (shown := comparison.sections[0]).keys:
        (run, *_) = shown.groups[0].runs
        keys = [f"{key}.name" if f"{key}.name" in run.params else key for key in shown.keys]
        view = mlflow_ui.view(
            shown.metric,
            higher_is_better=shown.is_better_high(f"val/{shown.metric}"),
            group_by=[key for key in keys if key in run.params],
        )
        number = client.get_run(parent).info.experiment_id
        client.set_experiment_tag(number, mlflow_ui.VIEW_TAG, view)
    text = note(comparison, failures=failures, experiment=experiment, files=written)
    client.set_tag(parent, NOTE_TAG, text)
    now = int(time.time() * 1000)
    figures = headline(comparison, failures=len(failures))
    client.log_batch(parent, metrics=[Metric(key, value, now, 0) for key, value in figures.items()])


def runs_of(identities: Collection[str], *, uri: str, experiment: str) -> list[StoredRun]:
    """Return the finished runs that answer the jobs of a sweep, the newest of each identity."""
    finished = store.find_runs(uri, experiment=experiment, tags={ROLE_TAG: "run"})
    newest: dict[str, StoredRun] = {}
    for run in finished:
        newest.setdefault(run.tags.get(IDENTITY_TAG, ""), run)
    return [run for identity, run in newest.items() if identity in identities]


def write(
    folder: Path,
    comparison: Comparison,
    *,
    uri: str,
    experiment: str,
    failures: Sequence[StoredRun],
) -> None:
    """Write leaderboard, report and pictures of a comparison into a folder."""
    from fitgap.report import comparison_charts, content, page

    found = content.report_of(comparison, uri=uri, experiment=experiment, failures=failures)
    texts = {
        "leaderboard.md": to_markdown(comparison),
        "leaderboard.csv": to_csv(comparison),
        "leaderboard.json": to_json(comparison),
        "report.html": page.to_html(found),
    }
    for kind in PICTURES:
        with contextlib.suppress(RequestError):  # these runs have not what it shows
            drawn = comparison_charts.draw(comparison, kind, uri=uri)
            for i, picture in enumerate(drawn, start=1):
                number = f"_{i}" if len(drawn) > 1 else ""
                texts[f"{kind}{number}.svg"] = picture.svg()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def headline(comparison: Comparison, *, failures: int) -> dict[str, float]:
    """Return the figures that a sweep's parent run shows, under names that no run of it has.

    ``first/...`` are means of the group ranked first, of the first data where there are several;
    ``runs/...`` count.
    """
    runs = sum(len(group.runs) for part in comparison.sections for group in part.groups)
    found = {"runs/finished": float(runs), "runs/failed": float(failures)}
    ranked = [part for part in comparison.sections if part.sort is not None]
    if ranked:
        (first, *_) = ranked[0].groups
        for metric in figure_names(ranked[0]):
            if metric in first.metrics and math.isfinite(first.metrics[metric].mean):
                found[f"first/{metric}"] = first.metrics[metric].mean
    return found


def note(
    comparison: Comparison,
    *,
    failures: Sequence[StoredRun],
    experiment: str,
    files: Sequence[str],
) -> str:
    """Return what the parent run's page says of a sweep, as Markdown.

    Parameters
    ----------
    comparison
        Of the sweep's finished runs; without sections where there are none.
    failures
        Runs of the sweep that ended FAILED or KILLED.
    experiment
        MLflow's name of it.
    files
        Names of the artifacts beside the note.
    """
    lines = [_summary(section) for section in comparison.sections]
    if comparison.sections:
        lines.append(to_markdown(comparison, limit=MOST_ROWS).replace(" | ", f"{BETWEEN} | "))
    else:
        lines.append("No run of this sweep has finished.\n")
    if failures:
        lines.append(f"**Failed runs: {len(failures)}**\n")
        for run in failures[:MOST_FAILURES]:
            reason = run.tags.get(FAILURE_TAG, run.status)
            lines.append(f"- {_in_one_line(run.name)}: {_in_one_line(reason[:200])}")
        if len(failures) > MOST_FAILURES:
            lines.append(f"- and {len(failures) - MOST_FAILURES} more")
        lines.append("")
    if files:
        lines.append(f"\nUnder Artifacts: {', '.join(f'`{name}`' for name in files)}.")
    lines.append(
        "\nAgain in the terminal: "
        + markdown_code(f"fitgap compare --experiment {shlex.quote(experiment)}")
    )
    text = "\n".join(lines)
    return text if len(text) <= MOST_NOTE else text[:MOST_NOTE].rpartition("\n")[0] + "\n\n…"


def _summary(section: Section) -> str:
    """Say what was compared, and which group is best."""
    runs = sum(len(group.runs) for group in section.groups)
    differ = f" that differ in {markdown(', '.join(section.keys))}" if section.keys else ""
    compared = f"Compared: {runs} runs, {len(section.groups)} groups{differ}.\n"
    if section.sort is None:
        return compared
    first = f"{markdown(label_of(section.groups[0]))}"
    tied = sum(mark_of(section, group) == TIE for group in section.groups)
    if tied:
        return (
            f"{compared}\n**First by {section.sort}: {first}; groups that the runs do not "
            f"distinguish from it: {tied - 1}**\n"
        )
    best = mark_of(section, section.groups[0]) == BEST
    return f"{compared}\n**{'Best' if best else 'First'} by {section.sort}: {first}**\n"


def _in_one_line(text: str) -> str:
    return markdown(" ".join(text.split()))
