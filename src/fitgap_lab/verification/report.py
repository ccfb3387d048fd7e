"""A verification as text: tables for a terminal, Markdown for the docs, JSON for machines."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from fitgap import identity
from fitgap_lab.verification.checks import (
    CONTROL_FACTOR,
    ELEMENTWISE_BOUND,
    EPOCH_BOUND,
    LOSS_BOUND,
    PERTURBATION,
    SUM_BOUND,
    EpochCheck,
    StepCheck,
    Verification,
)
from fitgap_lab.verification.experiment import SPARSE

if TYPE_CHECKING:
    from rich.console import Console

_TEXT_HEADERS = ("", "one step of", "network")  # all other columns are numbers
_STEP_HEADERS = ("", "one step of", "difference", "allowed", "agrees")
_EPOCH_HEADERS = ("network", "difference", "control", "allowed", "NumPy", "Keras", "agrees")

_RULE = f"""\
A difference is the largest one between two arrays, divided by the largest element of Keras's.

**One step.** NumPy and Keras get the same inputs: a batch of images, its labels, the initial
weights. What copies or selects must be equal, what works element by element may differ by
{ELEMENTWISE_BOUND:.0e}, what sums hundreds of products by {SUM_BOUND:.0e}. For layers and
activations the difference is the largest over the outputs and all gradients, for losses over the
loss and all weights' gradients, for optimizers over the weights after an update and the change
alone.

**An epoch.** From the same initial weights and in the same order of batches, both train for one
epoch; compared are the final weights. Each step's rounding goes into the next one.
**Control** is what becomes of a much larger difference at the start: NumPy against itself, from
initial weights that are off by {PERTURBATION:.0e} of themselves, the largest of three tries. With a
smooth activation it stays about as small as it was, and Keras must agree within
{EPOCH_BOUND:.0e}. With relu it can grow without measure: where a unit's input is zero but for
rounding, one of the two lets the gradient pass and the other does not. From then on two slightly
different networks are trained, and how far these part says nothing about who computes rightly. So
with relu, {CONTROL_FACTOR} times the control is allowed, or {EPOCH_BOUND:.0e} if that is more.

The smooth networks are therefore the sharp check of every optimizer and every loss. Where a relu
network's control is near 1, its row can only show that Keras stays within what rounding explains.
Binary cross-entropy trains on two of the ten classes. Where ``numbers`` or ``label_sets``
stand, the network learns how bright each quarter of an image is, or whether it is bright.

NumPy and Keras are validation accuracies, each computed by its own side. They may differ by
0.5 / sqrt(n), the largest standard error that an accuracy over n images can have. Of numbers and
label sets they are validation losses, and may differ by {LOSS_BOUND:.0e} of themselves."""


def print_tables(verification: Verification, *, console: "Console") -> None:
    """Print both tables, each at most 80 cells wide."""
    from rich.table import Table

    for title, headers, rows in _tables(verification):
        table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
        for number, header in enumerate(headers):
            table.add_column(
                header,
                justify="left" if header in _TEXT_HEADERS else "right",
                no_wrap=True,
                style="bold" if number == 0 else None,
            )
        for row in rows:
            table.add_row(*row, style=None if row[-1] == "yes" else "reverse")
        console.print(table)
        console.print()


def conclusion(verification: Verification) -> str:
    """Say in one line whether everything agrees, and if not, what does not."""
    checks: list[StepCheck | EpochCheck] = [*verification.steps, *verification.epochs]
    wrong = [_name(check) for check in checks if not check.agrees]
    if wrong:
        return f"{len(wrong)} of {len(checks)} out of tolerance: {'; '.join(wrong)}"
    return f"all {len(checks)} checks agree"


def to_markdown(verification: Verification, *, command: str) -> str:
    """Return a page with the rule, the tables and how they were made."""
    versions = ", ".join(f"{name} {version}" for name, version in identity.versions().items())
    parts = [
        "# Keras against the NumPy reference",
        f"`{command}`: {_describe(verification)}; {versions}; one thread. "
        f"**{conclusion(verification).capitalize()}.**",
        _RULE,
    ]
    for title, headers, rows in _tables(verification):
        parts += [f"## {title}", _markdown_table(headers, rows)]
    return "\n\n".join(parts) + "\n"


def to_json(verification: Verification) -> str:
    """Return everything as JSON: ``steps`` and ``epochs`` are lists of objects."""
    content = asdict(verification) | {"agrees": verification.agrees}
    for key in ("steps", "epochs"):
        checks: Sequence[StepCheck | EpochCheck] = getattr(verification, key)
        content[key] = [
            asdict(check) | {"allowed": check.allowed, "agrees": check.agrees} for check in checks
        ]
    content["versions"] = identity.versions()
    return json.dumps(content, indent=2) + "\n"


def _tables(
    verification: Verification,
) -> Iterable[tuple[str, Sequence[str], Sequence[tuple[str, ...]]]]:
    """Yield title, headers and rows of each table; a row ends with yes or NO."""
    steps = [
        (step.kind, step.name, _small(step.difference), _small(step.allowed), _yes(step.agrees))
        for step in verification.steps
    ]
    yield "One step", _STEP_HEADERS, steps
    for activation in dict.fromkeys(epoch.activation for epoch in verification.epochs):
        rows = [
            (
                _trained(epoch),
                _small(epoch.difference),
                _small(epoch.control),
                _small(epoch.allowed),
                _score(epoch.score_numpy),
                _score(epoch.score_keras),
                _yes(epoch.agrees),
            )
            for epoch in verification.epochs
            if epoch.activation == activation
        ]
        yield f"An epoch, hidden layer of 100 {activation}", _EPOCH_HEADERS, rows


def _describe(verification: Verification) -> str:
    return (
        f"{verification.dataset}, {verification.train_samples:,} training images, "
        f"batch size {verification.batch_size}"
    )


def _name(check: StepCheck | EpochCheck) -> str:
    if isinstance(check, StepCheck):
        return f"{check.kind} {check.name}"
    return f"an epoch of {check.activation}, {_trained(check)}"


def _trained(epoch: EpochCheck) -> str:
    """Name an epoch's optimizer, and its loss where that is not the usual one."""
    return epoch.optimizer if epoch.loss == SPARSE else f"{epoch.optimizer}, {epoch.loss}"


def _small(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def _score(value: float) -> str:
    return f"{value:.4f}" if value < 10 else f"{value:.4g}"  # an accuracy, or a loss in any unit


def _yes(agrees: bool) -> str:
    return "yes" if agrees else "NO"


def _markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = [":--" if header in _TEXT_HEADERS else "--:" for header in headers]
    lines = [headers, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
