"""Check what comparisons claim; writes the tables of COMPARISON.md.

Without an option where the truth is known, by simulation and by training on data from a known
distribution; with ``--real`` on real data, by training over further splits. ``--races`` prints
what races of recorded candidates would save.
"""

import argparse
from pathlib import Path

from fitgap import store
from fitgap.commands.exit_codes import run_command
from fitgap.errors import RequestError
from fitgap_lab import pages
from fitgap_lab.calibration import real_data, recorded_races, report, trained

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "COMPARISON.md"


def main() -> None:
    """Simulate and train, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    some = parser.add_mutually_exclusive_group()
    some.add_argument(
        "--trained",
        type=int,
        metavar="DATASETS",
        help="only the table of trained networks, from so many data sets of each size",
    )
    some.add_argument(
        "--real",
        nargs="?",
        type=Path,
        const=Path("real"),
        metavar="FOLDER",
        help="train on real data instead; FOLDER (real): the packages of docs/REAL_FILES.md",
    )
    some.add_argument(
        "--races",
        nargs="+",
        metavar=("EXPERIMENT", "MARGIN"),
        help="only print what races of an experiment's groups would save, at these margins",
    )
    options = parser.parse_args()
    if options.races is not None:
        experiment, *margins = options.races
        print(recorded_races.table(store.resolve_uri(None), experiment, _margins(margins)), end="")
        return
    if options.trained is not None:
        pages.replace_table(PAGE, "trained networks", trained.table(options.trained))
    elif options.real is not None:
        text = real_data.table(ROOT / "build" / "calibrate", options.real)
        pages.replace_table(PAGE, "real data", text)
    else:
        report.write(PAGE)
    print(f"written: {PAGE}")


def _margins(texts: list[str]) -> list[float]:
    try:
        return [float(text) for text in texts]
    except ValueError as error:
        raise RequestError(
            f"--races takes margins as numbers after the experiment: {error}"
        ) from error


if __name__ == "__main__":
    run_command(main)
