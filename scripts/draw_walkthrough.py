"""Run the code of docs/HOW_A_NETWORK_LEARNS.md and draw its pictures into docs/images."""

from fitgap.commands import exit_codes
from fitgap.config.project import CHECKOUT
from fitgap_lab.verification import walkthrough

PAGE = CHECKOUT / "docs" / "HOW_A_NETWORK_LEARNS.md"


def main() -> None:
    """Run the page, draw, and say where the pictures are."""
    folder = PAGE.parent / "images"
    folder.mkdir(exist_ok=True)
    computed = walkthrough.run(PAGE)
    # After the page, which starts TensorFlow itself; the pictures' module needs it too.
    from fitgap_lab.verification import walkthrough_figures

    for name, figure in walkthrough_figures.draw(computed).items():
        figure.savefig(folder / f"{name}.png", dpi=110)
        print(folder / f"{name}.png")


if __name__ == "__main__":
    exit_codes.run_command(main)
