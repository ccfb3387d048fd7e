"""``fitgap init``: a small project that can be trained at once."""

import shutil
from pathlib import Path

import click

from fitgap.console import say
from fitgap.errors import RequestError

STARTER = Path(__file__).parent / "starter"
# A packaged file whose name would begin with a dot has none there, so that every tool packs it.
_NAMES = {"gitignore": ".gitignore"}


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
def command(*, folder: Path) -> None:
    """Write a small project into FOLDER: its own network, its settings, a README.

    Without a FOLDER, the project is written into the working directory.
    """
    from fitgap.config import program

    written = write(folder)
    say("\n".join(map(str, written)))
    name = program.name(folder.absolute())
    there = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    say(f"\n{there}{name} train architecture=residual")


def write(folder: Path) -> list[Path]:
    """Write the starter's files and return their paths.

    Raises
    ------
    RequestError
        If one of them is there already, or the folder cannot be written to. Nothing is written
        then.
    """
    sources = sorted(p for p in STARTER.rglob("*") if p.is_file() and p.suffix != ".pyc")
    targets = {source: folder / _target(source) for source in sources}
    there = [str(path) for path in targets.values() if path.exists()]
    if there:
        raise RequestError(f"{', '.join(there)}: already exists; nothing is overwritten")
    try:
        for source, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except OSError as error:
        raise RequestError(f"{folder}: cannot be written to ({error.strerror})") from error
    return list(targets.values())


def _target(source: Path) -> Path:
    return source.relative_to(STARTER).with_name(_NAMES.get(source.name, source.name))
