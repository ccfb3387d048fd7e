"""A reproduction as text: tables for a terminal, Markdown for the docs, JSON for machines."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fitgap import identity
from fitgap.comparison.estimates import Estimate
from fitgap.comparison.ties import EQUIVALENT, MARGIN, UNDECIDED
from fitgap_lab import pages
from fitgap_lab.reproduction.findings import (
    LOSS_MARGIN,
    Agreement,
    Finding,
    Reproduction,
    interval_factor,
)
from fitgap_lab.reproduction.published import NOTES, PRESETS, Figure

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

ABSENT = "-"
AGREEMENT = "Agreement with plain Keras"
PROGRESS_BAR = "The training figures as a progress bar shows them"
_HEADERS = ("figure", "published", "mean", "sd", "low", "high", "diff.", "verdict")
_AGREEMENT_HEADERS = (
    "preset, figure",
    "fitgap",
    "sd",
    "n",
    "Keras",
    "sd",
    "n",
    "diff.",
    "reach",
    "verdict",
)


def explain(n: int) -> str:
    """Return the rule behind the verdicts in words, and how much it can tell at ``n`` seeds."""
    rule = (
        "Rule: a published figure comes from one run of one notebook, so it is one draw from the "
        "distribution over seeds. It is called consistent if it lies between low and high. With n "
        "measured seeds, of mean m and sample standard deviation s, these are m ± t s √(1 + 1/n): "
        "the 95 % prediction interval by Student's t with n - 1 degrees of freedom, widened by "
        "half a unit of the last printed digit. diff. is m minus the published figure. "
    )
    if n == 1:
        return rule + "One seed shows no spread, so there is no interval and no verdict."
    return rule + (
        f"At n = {n} the interval reaches {interval_factor(n):.1f} s to either side"
        f"{' (2.4 s at n = 10, 2.0 s with many seeds)' if n < 10 else ''}. Consistent means only "
        "that the measured figures do not contradict the published one, so look at the difference "
        "too. One figure in 20 lies outside by chance, and the figures of one run deviate together."
    )


def explain_agreements(agreements: Sequence[Agreement]) -> str:
    """Return the rule of the comparison with plain Keras, and how often it gave each verdict."""
    judged = [agreement.verdict for agreement in agreements if agreement.reach is not None]
    return (
        "Rule: two means are equivalent if the 90 % interval of their difference (Welch) lies "
        f"within the margin, which is {100 * MARGIN:g} points of accuracy or {100 * LOSS_MARGIN:g} "
        "% of Keras's loss. These are two one-sided tests at 5 %. If the means are not equivalent, "
        "they differ if a two-sided test at 5 % says so; otherwise the comparison is undecided. "
        "reach is the end of the interval that is farther from zero; running is the running "
        f"average of the last epoch. Of {len(judged)} comparisons {judged.count(EQUIVALENT)} are "
        f"equivalent, {judged.count(UNDECIDED)} are undecided and {judged.count('differs')} "
        "differ. Loss and accuracy of one run deviate together."
    )


def explain_progress_bar(result: Reproduction) -> str:
    """Return what the figures of a progress bar are, and how many published ones are such."""
    shown = {(f.figure.preset, f.figure.called): f.verdict for f in result.bar_findings}
    outside = [f.figure for f in result.findings if f.verdict == "outside"]
    verdicts = [shown.get((figure.preset, figure.called)) for figure in outside]
    return (
        "Until 2025 the progress bar of Keras 3 averaged the running averages once more over "
        "their epoch (https://github.com/keras-team/keras/issues/20212); the history that fit "
        "returns was right. These tables compare the published figures with such averages, which "
        f"were measured with plain Keras, by the same rule. Of {sum(map(bool, verdicts))} training "
        f"figures that are outside above, {verdicts.count('consistent')} are consistent here."
    )


def summarise(findings: Sequence[Finding]) -> str:
    """Return in one sentence how many figures are consistent."""
    verdicts = [finding.verdict for finding in findings]
    consistent, outside = verdicts.count("consistent"), verdicts.count("outside")
    return (
        f"Of {len(verdicts)} published figures {consistent} are consistent with the measured "
        f"figures, {outside} are not, and {len(verdicts) - consistent - outside} get no verdict."
    )


def print_tables(result: Reproduction, *, console: "Console") -> None:
    """Print a table for every preset, the comparison with plain Keras, and the rules."""
    from rich.text import Text

    for preset in PRESETS:
        findings = _of(preset, result.findings)
        console.print(Text(_heading(preset, result), style="bold"))
        if findings:
            console.print(_terminal_table(findings))
        if preset in NOTES:
            console.print(Text(NOTES[preset]))
        console.print()
    console.print(Text(summarise(result.findings)))
    console.print(Text(explain(_usual_n(result))))
    if result.agreements:
        console.print()
        console.print(Text(AGREEMENT, style="bold"))
        console.print(_terminal_agreements(result.agreements))
        console.print(Text(explain_agreements(result.agreements)))
    if result.bar_findings:
        console.print()
        console.print(Text(PROGRESS_BAR, style="bold"))
        console.print(Text(explain_progress_bar(result)))
        for preset in PRESETS:
            if findings := _of(preset, result.bar_findings):
                console.print(Text(f"\n{_bar_heading(preset, findings)}", style="bold"))
                console.print(_terminal_table(findings))


def to_markdown(result: Reproduction) -> str:
    """Return the whole result as a page."""
    lines = [
        "# Reproduction of the published experiments",
        "",
        "This page compares the figures that five published notebooks printed with those that "
        f"fitgap measures for the same experiments. {summarise(result.findings)}",
        "",
        f"These commands made it, with {pages.versions()}:",
        "",
        "```",
        *result.commands,
        "```",
        "",
        explain(_usual_n(result)),
    ]
    for preset in PRESETS:
        findings = _of(preset, result.findings)
        lines += ["", f"## {_heading(preset, result)}", ""]
        if findings:
            lines.append(_markdown_table(_HEADERS, map(_cells, findings)))
        if preset in NOTES:
            lines += ["", NOTES[preset]]
    if result.agreements:
        lines += [
            "",
            f"## {AGREEMENT}",
            "",
            explain_agreements(result.agreements),
            "",
            _markdown_table(_AGREEMENT_HEADERS, map(_agreement_cells, result.agreements)),
        ]
    if result.bar_findings:
        lines += ["", f"## {PROGRESS_BAR}", "", explain_progress_bar(result)]
        for preset in PRESETS:
            if findings := _of(preset, result.bar_findings):
                lines += ["", f"### {_bar_heading(preset, findings)}", ""]
                lines.append(_markdown_table(_HEADERS, map(_cells, findings)))
    return "\n".join(lines) + "\n"


def to_json(result: Reproduction) -> str:
    """Return the whole result for machines; ``null`` stands for what does not exist."""
    content = {
        "commands": list(result.commands),
        "versions": identity.versions(),
        "seeds": result.seeds,
        "rule": explain(_usual_n(result)),
        "presets": [
            {
                "preset": preset,
                "n": len(result.measured[preset]),
                "runs": [run.run_id for run in result.measured[preset]],
                "seeds": [run.seed for run in result.measured[preset]],
                "note": NOTES.get(preset),
                "figures": [_plain_finding(finding) for finding in _of(preset, result.findings)],
            }
            for preset in PRESETS
        ],
        "progress_bar": [
            {"preset": finding.figure.preset, **_plain_finding(finding)}
            for finding in result.bar_findings
        ],
        "agreement": [
            {
                "preset": agreement.preset,
                "metric": agreement.metric,
                "fitgap": _plain_estimate(agreement.ours),
                "keras": _plain_estimate(agreement.theirs),
                "difference": agreement.difference,
                "reach": agreement.reach,
                "margin": agreement.margin,
                "verdict": agreement.verdict,
            }
            for agreement in result.agreements
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _of(preset: str, findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.figure.preset == preset]


def _heading(preset: str, result: Reproduction) -> str:
    n = len(result.measured[preset])
    if n == result.seeds:
        return f"{preset}, n = {n}"
    return f"{preset}, n = {n} (of {result.seeds}; the others have not finished)"


def _bar_heading(preset: str, findings: Sequence[Finding]) -> str:
    return f"{preset}, progress bar, n = {len(findings[0].values)}"


def _usual_n(result: Reproduction) -> int:
    return max(1, *(len(runs) for runs in result.measured.values()))


def _label(figure: Figure) -> str:
    if figure.epoch is None:
        return figure.metric
    return f"{figure.metric}, {_epoch_label(figure)}"


def _epoch_label(figure: Figure) -> str:
    return f"{'last fit' if figure.kind == 'undated' else 'epoch'} {figure.epoch}"


def _cells(finding: Finding) -> list[str]:
    figure, measured = finding.figure, finding.measured
    sign = {"about": "~", "above": ">"}.get(figure.kind, "")
    return [
        _label(figure),
        sign + figure.printed,
        _number(measured.mean if measured else None),
        _number(measured.sd if measured else None),
        _number(finding.low),
        _number(finding.high),
        _number(finding.difference, "+.4f"),
        finding.verdict,
    ]


def _number(value: float | None, form: str = ".4f") -> str:
    return ABSENT if value is None else format(value, form)


def _terminal_table(findings: Sequence[Finding]) -> "Table":
    rows: list[list[str]] = []
    heading = None
    for finding in findings:
        figure, cells = finding.figure, _cells(finding)
        if figure.epoch is not None:
            # The metric's name once, the epochs indented below it: eighty columns are few.
            if figure.metric != heading:
                rows.append([figure.metric, *[""] * (len(_HEADERS) - 1)])
            cells[0] = f"  {_epoch_label(figure)}"
        heading = figure.metric
        rows.append(cells)
    return _grid(_HEADERS, rows)


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for header in headers:
        is_text = header in (headers[0], "verdict")
        table.add_column(Text(header), justify="left" if is_text else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _agreement_cells(agreement: Agreement) -> list[str]:
    return [
        f"{agreement.preset}, {agreement.metric}",
        *(
            text
            for side in (agreement.ours, agreement.theirs)
            for text in (_number(side.mean), _number(side.sd), str(side.n))
        ),
        _number(agreement.difference, "+.4f"),
        _number(agreement.reach),
        agreement.verdict,
    ]


def _terminal_agreements(agreements: Sequence[Agreement]) -> "Table":
    # Without the columns of sd and n, which Markdown and JSON have.
    kept = [i for i, header in enumerate(_AGREEMENT_HEADERS) if header not in ("sd", "n")]
    rows: list[list[str]] = []
    heading = None
    for agreement in agreements:
        if agreement.preset != heading:
            rows.append([agreement.preset, *[""] * (len(kept) - 1)])
        heading = agreement.preset
        cells = _agreement_cells(agreement)
        cells[0] = f"  {agreement.metric}, n = {agreement.ours.n}, {agreement.theirs.n}"
        rows.append([cells[i] for i in kept])
    return _grid([_AGREEMENT_HEADERS[i] for i in kept], rows)


def _markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return pages.table(headers, rows, words=(0, len(headers) - 1))


def _plain_finding(finding: Finding) -> dict[str, Any]:
    figure, measured = finding.figure, finding.measured
    return {
        "metric": figure.metric,
        "epoch": figure.epoch,
        "called": figure.called,
        "kind": figure.kind,
        "published": figure.printed,
        "n": len(finding.values),
        "values": list(finding.values),
        "mean": measured.mean if measured else None,
        "sd": measured.sd if measured else None,
        "low": finding.low,
        "high": finding.high,
        "difference": finding.difference,
        "verdict": finding.verdict,
    }


def _plain_estimate(found: Estimate) -> dict[str, float | None]:
    return {"mean": found.mean, "sd": found.sd, "n": found.n}
