"""A verification as text: tables for a terminal, Markdown for the docs, JSON for machines."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from fitgap import identity
from fitgap_lab import pages
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
This page compares Keras with fitgap's own reference, which is written in plain NumPy. If both
compute the same, neither has an error that the other does not have.

In each table, **difference** is the largest difference between the elements of two arrays, divided
by the largest element of Keras's array. **Allowed** is the largest difference that counts as
agreement.

**One step.** NumPy and Keras get the same inputs: a batch of images, its labels and the initial
weights. Operations that copy or choose values must give equal results. Operations on single
elements may differ by {ELEMENTWISE_BOUND:.0e}, and operations that sum hundreds of products by
{SUM_BOUND:.0e}. For a layer or an activation, the outputs and all gradients are compared; for a
loss, the loss and the gradients of all weights; for an optimizer, the weights after an update, and
the change of the weights.

**An epoch.** Both train for one epoch, from the same initial weights and with the same order of
batches. Then the final weights are compared. The rounding of each step affects all later steps.

**Control** shows how far a much larger difference at the start can grow. For it, NumPy trains
twice: once from the initial weights, and once from weights that are each changed by about
{PERTURBATION:.0e} of their size. The column shows the largest of three tries. With a smooth
activation, the difference stays about as small as it was, and Keras must agree within
{EPOCH_BOUND:.0e}. With relu, it can grow without limit: if the input of a unit is zero except for
rounding, one of the two lets the gradient pass and the other does not. From then on they train two
slightly different networks, and the distance between these does not show which one computes
correctly. For relu, therefore, {CONTROL_FACTOR} times the control is allowed, or {EPOCH_BOUND:.0e}
if that is more.

The smooth networks are therefore the strict check of every optimizer and every loss. If the control
of a relu network is near 1, its row shows only that Keras stays within what rounding can explain.
Binary cross-entropy trains on two of the ten classes. In the rows with `numbers`, the network
learns how bright each quarter of an image is; in the rows with `label_sets`, it learns whether each
quarter is bright.

The columns **NumPy** and **Keras** show validation accuracies, each computed by its own side. They
may differ by 0.5 / sqrt(n), the largest standard error that an accuracy over n images can have. For
numbers and label sets they show validation losses, which may differ by {LOSS_BOUND:.0e} of their
size."""


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
    parts = [
        "# Keras against the NumPy reference",
        f"`{command}`: {_describe(verification)}; {pages.versions()}; one thread. "
        f"**{conclusion(verification).capitalize()}.**",
        _RULE,
    ]
    for title, headers, rows in _tables(verification):
        words = [i for i, header in enumerate(headers) if header in _TEXT_HEADERS]
        parts += [f"## {title}", pages.table(headers, rows, words=words)]
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
