"""Where files are: the options that come with fitgap, and the user's project folder.

Everything that fitgap writes (runs, artifacts, claims, caches, reports) lands in the project folder
unless another place is set; nothing is ever written beside an installed package.
"""

import os
import sys
from pathlib import Path

VARIABLE = "FITGAP_PROJECT"  # set for the processes that a command starts
MARKS = ("conf", ".fitgap")

# The repository that this package lies in. Installed from a wheel it lies in none, and this is just
# a folder of the environment.
CHECKOUT = Path(__file__).resolve().parents[3]
_IN_WHEEL = Path(__file__).resolve().parents[1] / "conf"
CONFIG_DIR = _IN_WHEEL if _IN_WHEEL.is_dir() else CHECKOUT / "conf"


def folder() -> Path:
    """Return the project folder, absolute.

    It is ``$FITGAP_PROJECT`` if that is set, else the nearest folder from the working directory
    upwards that holds ``conf/`` or ``.fitgap/``, else the working directory.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given).absolute()
    here = Path.cwd()
    for candidate in (here, *here.parents):
        if any((candidate / mark).is_dir() for mark in MARKS):
            return candidate
    return here


def use(chosen: Path) -> None:
    """Make this process, and those that it starts, work in a project folder."""
    os.environ[VARIABLE] = str(chosen.absolute())


def state_folder() -> Path:
    """Return the folder of claims, caches and what waits for a server: ``.fitgap``."""
    return folder() / ".fitgap"


def record_folder(uri: str) -> Path:
    """Return the folder of a record's files: that of its SQLite database, or the project folder."""
    from sqlalchemy.engine import make_url

    url = make_url(uri) if uri.startswith("sqlite") else None
    return Path(url.database).absolute().parent if url and url.database else folder()


def own_config_dir() -> Path | None:
    """Return the ``conf/`` that a person added to the packaged one; None if there is none."""
    own = folder() / "conf"
    return own if own.is_dir() and own.resolve() != CONFIG_DIR else None


def config_dirs() -> list[Path]:
    """Return the folders with options; of two options by one name the first folder's wins."""
    own = own_config_dir()
    return [CONFIG_DIR] if own is None else [own, CONFIG_DIR]


def experiment() -> str:
    """Return the MLflow experiment that runs belong to by default: the project folder's name."""
    here = folder()
    is_own_repository = (here / "conf").resolve() == CONFIG_DIR
    return "fitgap" if is_own_repository else here.name or "fitgap"


def given_config_dir() -> Path:
    """Return the folder of the options for functions that were given in Python."""
    return state_folder() / "options"


def given_code_dir() -> Path:
    """Return the folder of modules that hold functions of notebooks and scripts."""
    return state_folder() / "code"


def make_importable() -> None:
    """Make the project's own modules importable, as if Python were started in its folder."""
    for path in (given_code_dir(), folder()):
        if str(path) not in sys.path and path.is_dir():
            sys.path.insert(0, str(path))
