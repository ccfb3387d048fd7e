"""Simulate what comparisons claim where the truth is known; writes the table of COMPARISON.md."""

from pathlib import Path

from fitgap.commands.exit_codes import run_command
from fitgap_lab.calibration import report

PAGE = Path(__file__).parents[1] / "docs" / "COMPARISON.md"


def main() -> None:
    """Simulate and write."""
    report.write(PAGE)
    print(f"written: {PAGE}")


if __name__ == "__main__":
    run_command(main)
