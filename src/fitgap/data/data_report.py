"""The findings about a dataset: remembered, and as a page to read.

The checks look at every pixel, which takes seconds. Their findings are kept under the digests of
data and split, so that a sweep's runs, which all log them, pay for them once.
"""

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fitgap import locks
from fitgap.config import project, state_files
from fitgap.data import before_training, duplicates, findings
from fitgap.data.datasets import Dataset
from fitgap.data.duplicates import NEAR_RULE, Matches
from fitgap.data.findings import DataFindings, PartitionFacts
from fitgap.data.splits import Split
from fitgap.errors import RequestError
from fitgap.trust import text_tables
from fitgap.trust.text import line, markdown


def find(dataset: Dataset, split: Split) -> DataFindings:
    """Return what the checks of a dataset find; later calls read the stored result of the first.

    Parameters
    ----------
    dataset
        As read.
    split
        Of its training part.
    """
    source = b"".join(
        Path(str(module.__file__)).read_bytes()
        for module in (before_training, duplicates, findings)
    )
    # Names and notes stand in the findings, and no digest of the arrays covers them.
    names = [*dataset.train.names, *dataset.test.names]
    named = json.dumps([dataset.name, dataset.source, dataset.class_names, dataset.notes, *names])
    key = hashlib.sha256(f"{dataset.digest} {split.digest} {named}".encode() + source).hexdigest()
    path = project.state_folder() / "data_reports" / f"{key}.json"
    with contextlib.ExitStack() as stack:
        # A sweep's workers ask for the same at once: one looks, the others wait for what it finds.
        with contextlib.suppress(RequestError):  # where nothing can be kept, each run looks
            stack.enter_context(locks.held(path.with_suffix(".lock")))
        return _remembered(path) or _kept(path, findings.check(dataset, split))


def _remembered(path: Path) -> DataFindings | None:
    try:
        return from_plain(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _kept(path: Path, found: DataFindings) -> DataFindings:
    with contextlib.suppress(OSError):
        state_files.replace(path, to_json(found))
    return found


def find_beside(dataset: Dataset, split: Split) -> Future[DataFindings]:
    """Start the checks in a thread beside the training; NumPy and SciPy leave Python to the others.

    Parameters
    ----------
    dataset
        As read.
    split
        Of its training part.

    Returns
    -------
    Future
        Its ``result()`` waits for the findings, and raises what the checks raised.
    """
    found: Future[DataFindings] = Future()

    def look() -> None:
        try:
            found.set_result(find(dataset, split))
        except BaseException as error:  # raised where the findings are asked for
            found.set_exception(error)

    # A daemon: whoever interrupts a run, or whose run fails, does not wait for the findings.
    threading.Thread(target=look, name="data-report", daemon=True).start()
    return found


def write(folder: Path, found: DataFindings) -> None:
    """Write the page into a folder: ``data_report.md``."""
    (folder / "data_report.md").write_text(to_markdown(found), encoding="utf-8")


def to_json(found: DataFindings) -> str:
    """Return the findings as JSON."""
    return json.dumps(asdict(found), ensure_ascii=False, indent=1) + "\n"


def from_plain(plain: Mapping[str, Any]) -> DataFindings:
    """Rebuild findings from what `to_json` wrote, once parsed."""
    facts = {name: PartitionFacts(**part) for name, part in plain["partitions"].items()}
    near = _matches_from(plain["near"]) if plain["near"] else None
    exact = _matches_from(plain["exact"])
    return DataFindings(**{**plain, "partitions": facts, "exact": exact, "near": near})


def _matches_from(plain: Mapping[str, Any]) -> Matches:
    examples = [(first, second) for first, second in plain["examples"]]
    return Matches(**{**plain, "examples": examples})


def to_markdown(found: DataFindings) -> str:
    """Return the findings as a page of Markdown, which reads as plain text too."""
    shape = " x ".join(map(str, found.image_shape))
    are_images = len(found.image_shape) > 1
    samples = "images" if are_images else "rows"
    lines = [
        f"# Data: {_text(found.dataset)}",
        "",
        f"From {_text(found.source)}. Each of {shape} values, {found.value_type}; "
        f"{found.constant_values} of them are the same in all {samples} of the training partition.",
        "",
        *(f"- {_text(note)}" for note in found.notes),
        *([""] if found.notes else []),
    ]
    present = {name: part for name, part in found.partitions.items() if part.samples}
    columns: dict[str, Callable[[PartitionFacts], str]] = {samples: lambda part: str(part.samples)}
    if are_images:  # the columns of a table have units of their own
        columns |= {
            "lowest": lambda part: f"{part.minimum:.6g}",
            "highest": lambda part: f"{part.maximum:.6g}",
            "mean": lambda part: f"{part.mean:.6g}",
        }
    lines.append(
        _table(
            ("partition", *columns),
            [(name, *(cell(part) for cell in columns.values())) for name, part in present.items()],
        )
    )
    classes = present["train"].class_counts
    if classes:
        counts = [
            (label, *(str(part.class_counts[label]) for part in present.values()))
            for label in classes
        ]
        lines.append(_table(("class", *present), counts))
    equal = "images of the same bytes" if are_images else "rows of the same values"
    other = "of another class" if classes else "with another target"
    lines += [f"## Exact duplicates: {equal}", "", *_listed(found.exact, other=other)]
    if are_images and any(found.exact.across.values()):  # equal rows are usual in a table
        lines += [
            "",
            "An image in two partitions is leakage: a network is tested on what it learned. "
            "Training refuses it unless dataset.allow_duplicates=true.",
        ]
    if found.near is not None:
        lines += ["", f"## Near duplicates: {NEAR_RULE}", "", *_listed(found.near, other=other)]
    elif are_images:
        lines += ["", "Near duplicates are looked for among images of uint8 only."]
    return "\n".join(lines) + "\n"


def _text(name: str) -> str:
    """Return a name of the data, which is anybody's, as terminals and pages show it: as text."""
    return markdown(line(name))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, all columns but the first to the right."""
    cells = ((line(first), *others) for first, *others in rows)
    return text_tables.to_markdown(header, list(cells), align="l" + "r" * (len(header) - 1))


def _listed(matches: Matches, *, other: str) -> list[str]:
    counts = {f"{name} repeated in {name}": n for name, n in matches.within.items()}
    counts |= {f"{pair.replace(' in ', ' also in ')}": n for pair, n in matches.across.items()}
    counts[f"like one {other}"] = matches.conflicting
    found = [f"- {what}: {count}" for what, count in counts.items() if count]
    if not found:
        return ["None."]
    pairs = [(_text(first), _text(second)) for first, second in matches.examples]
    return [*found, *(f"- for example {first} and {second}" for first, second in pairs)]
