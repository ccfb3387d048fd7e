"""The file that a search is stored in: an Optuna journal, opened by one process at a time."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fitgap import locks
from fitgap.errors import RequestError, first_line
from fitgap.experiment import Plan
from fitgap.search import study as search_study
from fitgap.search.settings import SearchSettings
from fitgap.search.space import Dimension
from fitgap.search.study import SearchStudy

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna

# What Optuna's reader of journals raises on a line that is none of its own.
_DAMAGE = (
    ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError,
    OverflowError,
)  # fmt: skip


def require_optuna() -> None:
    """Check that Optuna is installed, and let it print only warnings and errors.

    Raises
    ------
    RequestError
        If it is not.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise RequestError(
            "hydra/sweeper=optuna needs the extra 'search', which is not installed: "
            "make setup-extras, or pip install 'fitgap[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def path_for(base: Plan, *, settings: SearchSettings, space: Sequence[Dimension]) -> Path:
    """Return the file of a search: beside the store, named by all that decides its values.

    Parameters
    ----------
    base
        The experiment with the fixed settings alone.
    settings
        Of the search, resolved for that experiment. ``settings.study`` replaces the name.
    space
        The settings that are searched.
    """
    decides = {
        "experiment": [base.uri, base.experiment],
        "base": base.identity,
        "space": [repr(dimension) for dimension in space],
        "metrics": [list(settings.metrics), settings.resolved_directions()],
        "sampler": [settings.sampler, settings.seed, settings.startup_trials],
    }
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:12]
    searches = base.checkpoint_path.parent.with_name("searches")
    return searches / f"{settings.study or digest}.journal"


@contextmanager
def opened(
    path: Path, *, settings: SearchSettings, space: Sequence[Dimension]
) -> "Iterator[SearchStudy]":
    """Open the file of a search, or create it, for as long as the block lasts.

    Parameters
    ----------
    path
        Of the journal, which any of Optuna's tools reads; the study has the name of the file.
    settings
        Of the search.
    space
        The settings that are searched.

    Raises
    ------
    RequestError
        If another process runs this search, or the file cannot be used or is damaged.
    """
    from filelock import Timeout

    lock = locks.lock_of(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RequestError(f"this search is being run by another process: {path}") from error
    except OSError as error:
        raise RequestError(locks.why_not(path.parent, error)) from error
    try:
        yield SearchStudy(_load(path, settings), settings=settings, space=space)
    finally:
        lock.release()


def _load(path: Path, settings: SearchSettings) -> "optuna.Study":
    import optuna
    from optuna.storages.journal import JournalFileBackend

    try:
        _drop_unfinished_line(path)
        study = optuna.create_study(
            study_name=path.stem,
            storage=optuna.storages.JournalStorage(JournalFileBackend(str(path))),
            directions=search_study.optuna_directions(settings),
            load_if_exists=True,
        )
        for trial in study.get_trials(deepcopy=False):
            search_study.check_stored(trial)
        return study
    except OSError as error:
        raise RequestError(f"the search's file {path} cannot be used: {error}") from error
    except _DAMAGE as error:
        raise RequestError(
            f"the search's file {path} is damaged: {first_line(error)}",
            "If you move it away, the search starts again; recorded trials are not trained again",
        ) from error


def _drop_unfinished_line(path: Path) -> None:
    """Remove a last line that a full disk or a kill left incomplete: Optuna would read no further.

    Each line is one operation, for example a trial. One whose line is incomplete was never
    reported as done, so the search simply repeats it.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OSError("it is a link, or no file")  # which would be written to
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
