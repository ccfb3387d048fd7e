"""Real trainings on further splits: how often the printed intervals hold what those give.

Two optimizers are trained over 13 splits with two seeds each. From some of the splits the intervals
are made that ``fitgap compare`` would print; the others say what they should have held.
"""

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np

from fitgap import store
from fitgap.comparison.estimates import Estimate
from fitgap.comparison.ranking import compare
from fitgap.comparison.significance import Paired
from fitgap.errors import RequestError
from fitgap.store import StoredRun, predictions
from fitgap.tag_names import ROLE_TAG
from fitgap.trust import text_tables
from fitgap_lab.composition import settings_of

HEADER = ("data", "images", "from", "accuracies covered", "gaps covered", "differences covered")
FURTHER = 8
SEVERAL = 5
SPLITS = SEVERAL + FURTHER
FEWEST_ICONS = 20  # a class of two or four has none in some partition
SETTINGS = (
    "optimizer=adam,rmsprop",
    f"split.seed=range(0,{SPLITS})",
    "seed=0,1",
    "tracking.experiment=real",
    "training.threads=1",
)


@dataclass
class Held:
    """How many intervals hold what the further splits give."""

    held: int = 0
    all: int = 0

    def add(self, found: Estimate | Paired, truth: float) -> None:
        """Count an interval, if there is one."""
        if found.low is not None and found.high is not None:
            self.all += 1
            self.held += found.low <= truth <= found.high

    def __str__(self) -> str:
        return f"{self.held} of {self.all}"


def _table(folder: Path, _: Path) -> list[str]:
    """Write scikit-learn's breast cancer data as a table: 569 rows of 30 numbers."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    path = folder / "breast_cancer.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*found.feature_names, "diagnosis"])
        rows.writerows(
            [*row, found.target_names[kind]]
            for row, kind in zip(found.data, found.target, strict=True)
        )
    return ["dataset=csv", f"dataset.path={path}", "dataset.label=diagnosis", "training.epochs=15"]


def _digits(_: Path, __: Path) -> list[str]:
    return ["dataset=digits", "training.epochs=10"]


def _fashion(folder: Path, _: Path) -> list[str]:
    """Write 4,000 of Fashion-MNIST's training images, and 1,000 test images."""
    from fitgap.data import datasets

    found = datasets.load(settings_of(["dataset=fashion_mnist"]).dataset)
    path = folder / "fashion.npz"
    np.savez(
        path,
        x_train=found.x_train[:4000],
        y_train=found.y_train[:4000],
        x_test=found.x_test[:1000],
        y_test=found.y_test[:1000],
    )
    return ["dataset=npz", f"dataset.path={path}", "training.epochs=10"]


def _biopsy(folder: Path, packages: Path) -> list[str]:
    """Write the 683 complete rows of R's table biopsy, without the patients' numbers."""
    with _existing(packages / "resources/rdata/csv/MASS/biopsy.csv").open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    path = folder / "biopsy.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header[2:], *(row[2:] for row in rows if "NA" not in row)])
    words = ["dataset=table", f"dataset.path={path}", "dataset.label=class"]
    # Nine marks from 1 to 10: different patients can have the same.
    return [*words, "dataset.allow_duplicates=true", "training.epochs=15"]


def _icons(folder: Path, packages: Path) -> list[str]:
    """Copy the icons of the kinds of which there are at least `FEWEST_ICONS`."""
    path = folder / "icons"
    found = _existing(packages / "oxygen-icon-theme/usr/share/icons/oxygen/base/16x16")
    for kind in found.iterdir():
        if len(list(kind.iterdir())) >= FEWEST_ICONS:
            shutil.copytree(kind, path / kind.name, dirs_exist_ok=True)
    words = ["dataset=image_folder", f"dataset.path={path}", "dataset.image_size=[16,16]"]
    return [*words, "dataset.allow_duplicates=true", "training.epochs=10"]


def _existing(path: Path) -> Path:
    """Return a path if it exists; docs/REAL_FILES.md says how the packages get there."""
    if not path.exists():
        raise RequestError(
            f"{path}: not found; docs/REAL_FILES.md says how to unpack the packages, and "
            "--real FOLDER where they are"
        )
    return path


DATA: Mapping[str, Callable[[Path, Path], list[str]]] = {
    "breast cancer, a table": _table,
    "biopsy, a table of 683 rows": _biopsy,
    "digits": _digits,
    "icons, a folder": _icons,
    "Fashion-MNIST, a part": _fashion,
}


def table(folder: Path, packages: Path) -> str:
    """Train in a folder, hold the intervals against further splits, and return Markdown.

    Parameters
    ----------
    folder
        Is made where there is none; what was trained there before is not trained again.
    packages
        The folder in which the packages of docs/REAL_FILES.md are unpacked.

    Raises
    ------
    RequestError
        If the table or the icons are not there.
    """
    rows = []
    for name, words in DATA.items():
        own = (folder / name.partition(",")[0].replace(" ", "_")).resolve()
        own.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{own / 'mlflow.db'}"
        command = [sys.executable, "-m", "fitgap", "train", "-m", *words(own, packages), *SETTINGS]
        subprocess.run([*command, f"tracking.uri={uri}"], cwd=own, check=True)
        runs = store.find_runs(uri, experiment="real", tags={ROLE_TAG: "run"})
        images = runs[0].params["val_samples"]
        for number in (1, SEVERAL):
            found = checked(runs, number, uri=uri)
            label = "1 split" if number == 1 else f"{number} splits"
            rows.append([name, images, label, *map(str, found)])
    return text_tables.to_markdown(HEADER, rows)


def checked(runs: Sequence[StoredRun], number: int, *, uri: str) -> tuple[Held, Held, Held]:
    """Hold intervals from so many splits against the means of further ones, all round.

    Returns
    -------
    tuple of Held
        Of the accuracies, the gaps, and the difference between the two groups.
    """
    accuracies, gaps, differences = Held(), Held(), Held()
    right_of = partial(predictions.validation_right, uri=uri)
    for some, others in _parts(runs, number):
        (section,) = compare(some, right_of=right_of).sections
        truths = []
        for group in section.groups:
            further = [run for run in others if _optimizer(run) == _optimizer(group.runs[0])]
            truths.append(_mean(further, "val/accuracy"))
            accuracies.add(group.metrics["val/accuracy"], truths[-1])
            gaps.add(group.metrics["gap/accuracy"], _mean(further, "gap/accuracy"))
        against = section.groups[1].against_best
        if against is not None and against.difference is not None:
            differences.add(against.difference, truths[0] - truths[1])
    return accuracies, gaps, differences


def _parts(
    runs: Sequence[StoredRun], number: int
) -> Iterator[tuple[list[StoredRun], list[StoredRun]]]:
    """Return the runs of so many splits and those of the `FURTHER` next ones, from each on."""
    for start in range(SPLITS):
        place = {str((start + step) % SPLITS): step for step in range(SPLITS)}
        steps = [(run, place[run.params["split.seed"]]) for run in runs]
        yield (
            [run for run, step in steps if step < number],
            [run for run, step in steps if number <= step < number + FURTHER],
        )


def _optimizer(run: StoredRun) -> str:
    return run.params["optimizer.name"]


def _mean(runs: Sequence[StoredRun], metric: str) -> float:
    return fmean([run.metrics[metric] for run in runs])
