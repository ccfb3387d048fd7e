"""Run the code of docs/HOW_A_NETWORK_LEARNS.md and draw its pictures into docs/images."""

from fitgap import cli, walkthrough


def main() -> None:
    """Run the page, draw, and say where the pictures are."""
    folder = walkthrough.PAGE.parent / "images"
    folder.mkdir(exist_ok=True)
    for name, figure in walkthrough.figures(walkthrough.run(walkthrough.PAGE)).items():
        figure.savefig(folder / f"{name}.png", dpi=110)
        print(folder / f"{name}.png")


if __name__ == "__main__":
    cli.run_command(main)
