"""The other views of a comparison as text: gaps explained, main effects, parts of the variance."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitgap.comparison.effects import RULE as EFFECTS_RULE
from fitgap.comparison.effects import Effect, effect_metrics, main_effects
from fitgap.comparison.estimates import Estimate
from fitgap.comparison.gap_curves import Explained, explain
from fitgap.comparison.groups import Comparison, Group, Section
from fitgap.comparison.search_importances import in_words
from fitgap.comparison.significance import Paired
from fitgap.comparison.variance import RULE as VARIANCE_RULE
from fitgap.comparison.variance import Components, components_of
from fitgap.comparison.verdicts import NOT_CONVERGED, Verdict
from fitgap.comparison.verdicts import RULE as VERDICTS_RULE
from fitgap.evaluation.figures import DECIMALS, with_half_width
from fitgap.report import variance_table
from fitgap.report.leaderboard import ABSENT, label_of
from fitgap.report.terminal import heading_of
from fitgap.trust import text_tables
from fitgap.trust.text import markdown

ON_FRONT = "◆"

_GAPS_MEANING = (
    f"{ON_FRONT} on the Pareto front: no other group has both a better validation figure and a "
    "smaller gap, and it is shown to beat the baseline. The gap opens after the epoch of the "
    "lowest validation loss (mean over seeds)."
)
_MORE = "--explain says how everything is computed."
_EFFECTS_HEADER = ("setting", "means, best first", "changes it by", "blocks")


def gaps_text(comparison: Comparison, *, uri: str, form: str, limit: int | None = None) -> str:
    """Return every group's gap, the epoch it opens after, and the verdict.

    Parameters
    ----------
    comparison
        Whose groups are explained.
    uri
        Where the runs' curves are read.
    form
        ``csv``, ``json`` or ``markdown``.
    limit
        Groups per section in Markdown; None is all.
    """
    parts: list[tuple[Section, list[Explained]]] = [
        (section, explain(section, uri=uri, limit=limit if form == "markdown" else None))
        for section in comparison.sections
    ]
    if form == "markdown":
        return "\n".join(
            [
                *(
                    _markdown(part, _gaps_header(part), _gaps_rows(part, found))
                    for part, found in parts
                ),
                markdown(_GAPS_MEANING) + "\n",
                *(f"- {markdown(sentence)}" for sentence in _rule(parts)),
                "",
            ]
        )
    records = [
        _gap_record(section, group, one)
        for section, found in parts
        for group, one in zip(section.groups, found, strict=False)
    ]
    return _records(records, form=form)


def print_gaps(
    comparison: Comparison,
    *,
    uri: str,
    console: Console,
    limit: int | None = None,
    explain_rule: bool = False,
) -> None:
    """Print every group's gap explained, and if asked the rule of the verdicts; see `gaps_text`."""
    parts = [(one, explain(one, uri=uri, limit=limit)) for one in comparison.sections]
    for section, found in parts:
        _print(console, section, _gaps_header(section), _gaps_rows(section, found), wrap=(1, 4))
        hidden = len(section.groups) - len(found)
        if hidden:
            console.print(Text(f"Groups not shown: {hidden} (--limit 0 shows all)."))
    _print_notes(console, comparison)
    if explain_rule:
        console.print(Text(_GAPS_MEANING))
        console.print(Text("Verdicts: " + " ".join(_rule(parts))))
    else:
        console.print(Text(f"{ON_FRONT}: no other group beats it in both. {_MORE}"))


def effects_text(comparison: Comparison, *, form: str) -> str:
    """Return the main effects of every setting that differs.

    Parameters
    ----------
    comparison
        Of at least one section.
    form
        ``csv``, ``json`` or ``markdown``.
    """
    found = [
        (section, metric, main_effects(section, metric=metric))
        for section in comparison.sections
        for metric in comparison.metrics or effect_metrics(section)
    ]
    if form == "markdown":
        return "\n".join(
            [
                *(
                    _markdown(section, _EFFECTS_HEADER, _effect_rows(effects), metric=metric)
                    for section, metric, effects in found
                ),
                markdown(EFFECTS_RULE) + "\n",
                *(f"- {markdown(line)}" for line in in_words(comparison.searches)),
            ]
        )
    records = [
        _effect_record(section, effect, nested=form == "json")
        for section, _, effects in found
        for effect in effects
    ]
    return _records(records, form=form)


def print_effects(comparison: Comparison, *, console: Console, explain_rule: bool = False) -> None:
    """Print the main effects of every setting that differs, and if asked how they are found."""
    for section in comparison.sections:
        for metric in comparison.metrics or effect_metrics(section):
            effects = main_effects(section, metric=metric)
            if not effects:
                console.print(Text(f"{heading_of(section)}: no setting differs."))
                break
            rows = _effect_rows(effects)
            _print(console, section, _EFFECTS_HEADER, rows, wrap=(0, 1), metric=metric)
    for line in in_words(comparison.searches):
        console.print(Text(line))
    _print_notes(console, comparison)
    console.print(Text(EFFECTS_RULE if explain_rule else _MORE))


def variance_text(comparison: Comparison, *, form: str) -> str:
    """Return where the variance of the metrics comes from, in a form of `effects_text`."""
    found = _variances(comparison)
    if form == "markdown":
        parts = [
            _markdown(section, variance_table.HEADER, variance_table.rows(one), metric=metric)
            + "".join(f"\n- {markdown(line)}" for line in variance_table.sentences(one))
            for section, metric, one in found
        ]
        return "\n\n".join([*parts, markdown(VARIANCE_RULE) + "\n"])
    records = [
        _data(section) | record
        for section, _, one in found
        for record in variance_table.records(one)
    ]
    return _records(records, form=form)


def print_variance(comparison: Comparison, *, console: Console, explain_rule: bool = False) -> None:
    """Print where the variance comes from; see `variance_text`."""
    for section, metric, one in _variances(comparison):
        rows = variance_table.rows(one)
        _print(console, section, variance_table.HEADER, rows, wrap=(0,), metric=metric)
        console.print(Text(" ".join(variance_table.sentences(one))))
        console.print()
    _print_notes(console, comparison)
    console.print(Text(VARIANCE_RULE if explain_rule else _MORE))


def _variances(comparison: Comparison) -> list[tuple[Section, str, Components | None]]:
    return [
        (section, metric, components_of(section, metric=metric))
        for section in comparison.sections
        for metric in comparison.metrics or effect_metrics(section)
    ]


def _print_notes(console: Console, comparison: Comparison) -> None:
    for note in comparison.notes:
        console.print(Text(f"Note: {note}"))


def _print(
    console: Console,
    section: Section,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    wrap: Sequence[int],
    metric: str = "",
) -> None:
    console.print(Text(heading_of(section) + (f"; {metric}" if metric else ""), style="bold"))
    console.print()
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for i, name in enumerate(header):
        table.add_column(Text(name), no_wrap=i not in wrap, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
    console.print()


def _markdown(
    section: Section, header: Sequence[str], rows: Sequence[Sequence[str]], *, metric: str = ""
) -> str:
    heading = heading_of(section) + (f"; {metric}" if metric else "")
    return f"**{markdown(heading)}**\n\n" + text_tables.to_markdown(header, rows)


def _rule(parts: Sequence[tuple[Section, list[Explained]]]) -> tuple[str, ...]:
    """Return the rule of the verdicts, and where it cannot be used, why."""
    if any(one.verdict for _, found in parts for one in found):
        return VERDICTS_RULE
    return (
        "none, without a validation partition, or for a single run unless its metric is a share of "
        "the samples.",
    )


def _gaps_header(section: Section) -> tuple[str, ...]:
    return ("#", "settings", f"gap/{section.metric}", "opens after", "verdict")


def _gaps_rows(section: Section, found: Sequence[Explained]) -> list[list[str]]:
    rows = []
    for rank, (group, one) in enumerate(zip(section.groups, found, strict=False), start=1):
        gap = group.metrics.get(f"gap/{section.metric}")
        epochs = group.runs[0].params.get("training.epochs", "?")
        verdict = one.verdict
        rows.append(
            [
                (str(rank) if group.has_figure(section.sort) else ABSENT)
                + (f" {ON_FRONT}" if one.on_front else ""),
                label_of(group),
                ABSENT if gap is None else _with_half_width(gap, sign="+"),
                ABSENT if one.epoch is None else f"{one.epoch.mean:.1f} of {epochs}",
                ABSENT if verdict is None else _in_words(verdict),
            ]
        )
    return rows


def _in_words(verdict: Verdict) -> str:
    # The gap has a column of its own.
    # Where training had not converged, the reason has said so.
    convergence = "" if verdict.word == NOT_CONVERGED else verdict.convergence
    more = [text for text in (convergence, verdict.learned, verdict.baseline) if text]
    return "; ".join([f"{verdict.word}: {verdict.reason}", *more])


def _gap_record(section: Section, group: Group, one: Explained) -> dict[str, Any]:
    gap = group.metrics.get(f"gap/{section.metric}")
    return {
        **_data(section),
        "group": label_of(group),
        "n": len(group.runs),
        "metric": section.metric,
        "gap": _finite(gap.mean) if gap else None,
        "gap_low": gap.low if gap else None,
        "gap_high": gap.high if gap else None,
        "lowest_validation_loss_epoch": _finite(one.epoch.mean) if one.epoch else None,
        "verdict": one.verdict.word if one.verdict else None,
        "reason": one.verdict.reason if one.verdict else None,
        "statements": "; ".join(one.verdict.statements) if one.verdict else None,
        "on_pareto_front": one.on_front,
    }


def _effect_rows(effects: Iterable[Effect]) -> list[list[str]]:
    return [
        [
            effect.name,
            ", ".join(f"{level.value} {level.mean:.{DECIMALS}f}" for level in effect.levels)
            or "no block has every level: replicates, or other settings, differ",
            ABSENT
            if not effect.levels
            else f"{effect.range:.{DECIMALS}f}"
            if effect.span is None
            else _with_half_width(effect.span),
            f"{effect.blocks} of {effect.all_blocks}",
        ]
        for effect in effects
    ]


def _effect_record(section: Section, effect: Effect, *, nested: bool) -> dict[str, Any]:
    levels = [{"value": level.value, "mean": level.mean} for level in effect.levels]
    return {
        **_data(section),
        "setting": effect.setting,
        "within": effect.within or None,
        "metric": effect.metric,
        "range": effect.range if effect.levels else None,
        "low": effect.span.low if effect.span else None,
        "high": effect.span.high if effect.span else None,
        "blocks": effect.blocks,
        "all_blocks": effect.all_blocks,
        "levels": levels
        if nested
        else "; ".join(f"{level['value']}: {level['mean']}" for level in levels),
    }


def _data(section: Section) -> dict[str, str]:
    return {"dataset": section.dataset, "split": section.split}


def _records(records: Sequence[dict[str, Any]], *, form: str) -> str:
    written: dict[str, Callable[[], str]] = {
        "json": lambda: json.dumps(records, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "csv": lambda: text_tables.to_csv(
            list(records[0]) if records else [], [list(record.values()) for record in records]
        ),
    }
    return written[form]()


def _with_half_width(found: Estimate | Paired, *, sign: str = "") -> str:
    if not math.isfinite(found.mean):
        return ABSENT
    return with_half_width(found.mean, found.half_width, sign=sign)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
