"""Run the code of docs/HOW_A_NETWORK_LEARNS.md and draw its pictures into docs/images."""

from fitgap.commands import exit_codes
from fitgap.config.project import CHECKOUT
from fitgap_lab.verification import walkthrough, walkthrough_figures

PAGE = CHECKOUT / "docs" / "HOW_A_NETWORK_LEARNS.md"


def main() -> None:
    """Run the page, draw, and say where the pictures are."""
    folder = PAGE.parent / "images"
    folder.mkdir(exist_ok=True)
    computed = walkthrough.run(PAGE)
    for name, picture in walkthrough_figures.draw(computed).items():
        print(picture.save(folder / f"{name}.png", dpi=110))


if __name__ == "__main__":
    exit_codes.run_command(main)
