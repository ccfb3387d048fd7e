"""The user's own code in a recorded run: what it was, and its modules used again.

Only code that is certainly the person's own is run: modules of the project folder that have not
changed since the run, and modules that the person trusts by name, which may come from the record
(``code/``).
"""

import contextlib
import importlib
import json
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from fitgap.config import project, targets
from fitgap.config.fingerprints import fingerprint
from fitgap.config.modules import is_library, module_file, module_name
from fitgap.errors import RequestError
from fitgap.store.recorded import RecordedRun
from fitgap.tag_names import CODE_TAG
from fitgap.trust import allowed_classes

OWN = "own code "  # begins the names of a person's own files there
SHORT = 12  # hex digits of each fingerprint there


def fingerprints(run: RecordedRun) -> dict[str, str]:
    """Return the fingerprints of a run's code, shortened, by what each is of; empty if unknown."""
    try:
        plain = json.loads(run.tags.get(CODE_TAG, "{}"))
    except (ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in plain.items()} if isinstance(plain, dict) else {}


def own_modules(run: RecordedRun) -> dict[str, str]:
    """Return the fingerprints of a run's own modules, by the modules' names."""
    named = {
        key.removeprefix(OWN): value
        for key, value in fingerprints(run).items()
        if key.startswith(OWN)
    }
    return {module_name(file): value for file, value in named.items()}


def unchanged(run: RecordedRun) -> set[str]:
    """Return a run's own modules that the project folder has as they were recorded."""
    project.make_importable()
    return {module for module, then in own_modules(run).items() if _now(module) == then}


def _now(module: str) -> str | None:
    path = module_file(module)
    # An environment may lie in the project folder: what is installed there is nobody's own.
    if path is None or is_library(path) or not path.is_relative_to(project.folder()):
        return None
    try:
        return fingerprint(path.read_text(encoding="utf-8"))[:SHORT]
    except (OSError, ValueError, SyntaxError):
        return None


def check_targets(settings: Any, run: RecordedRun, *, trusted: Collection[str] = ()) -> None:
    """Check whatever a run's settings want to have made or called.

    Parameters
    ----------
    settings
        Of the run, or some of them.
    run
        Its own modules that are as they were recorded may be named.
    trusted
        Modules that may be named besides.

    Raises
    ------
    RequestError
        See `fitgap.trust.allowed_classes.check`.
    """
    what = f"the record of run {run.run_id}"
    allowed_classes.check(settings, what=what, modules=[*unchanged(run), *trusted])


@contextlib.contextmanager
def imported(run: RecordedRun, *, trusted: Collection[str] = ()) -> Iterator[list[ModuleType]]:
    """Import a run's own modules, for as long as the block lasts.

    Parameters
    ----------
    run
        Of the record.
    trusted
        Modules that the person trusts by name; where the project folder has another version, or
        none, the recorded one is taken.

    Raises
    ------
    RequestError
        If one is not as it was recorded, or not there, and not trusted; or cannot be imported.
    """
    here = unchanged(run)
    modules = own_modules(run)
    for module in modules:
        if module not in here and not _is_trusted(module, trusted):
            state = "is not in the project folder"
            if module_file(module) is not None:
                state = "has changed since it was recorded"
            raise RequestError(
                f"the model of run {run.run_id} needs the module {module}, which {state}",
                f"If you trust the recorded one, use it: --trust {module.partition('.')[0]}",
            )
    with contextlib.ExitStack() as stack:
        if set(modules) - here:
            stack.enter_context(_recorded_first(run, modules))
        yield [_import(module) for module in modules]


def _is_trusted(module: str, trusted: Collection[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in trusted)


@contextlib.contextmanager
def _recorded_first(run: RecordedRun, modules: Mapping[str, str]) -> Iterator[None]:
    """Have modules imported from the record, in the place of the project's."""
    import mlflow
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="fitgap-") as folder:
        try:
            root = mlflow.MlflowClient(run.uri).get_run(run.run_id).info.artifact_uri
            code = download_artifacts(
                artifact_uri=f"{root}/code", dst_path=folder, tracking_uri=run.uri
            )
        except (MlflowException, OSError) as error:
            raise RequestError(f"the record of run {run.run_id} has no code/") from error
        kept = {name: sys.modules.pop(name) for name in modules if name in sys.modules}
        sys.path.insert(0, str(Path(code)))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(str(Path(code)))
            sys.modules.update(kept)


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # a person's module runs, which may raise anything
        described = targets.describe_failure(error)
        raise RequestError(f"the module {module} cannot be imported: {described}") from error
