"""Check what comparisons claim; writes the tables of COMPARISON.md.

Without an option where the truth is known by simulation, with ``--real`` on trainings over further
splits.
"""

import argparse
from pathlib import Path

from fitgap.commands.exit_codes import run_command
from fitgap_lab.calibration import real_data, report

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "COMPARISON.md"


def main() -> None:
    """Simulate or train, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", action="store_true", help="train on real data instead")
    if parser.parse_args().real:
        report.write_table(PAGE, "real data", real_data.table(ROOT / "build" / "calibrate"))
    else:
        report.write(PAGE)
    print(f"written: {PAGE}")


if __name__ == "__main__":
    run_command(main)
