"""Options of ``conf/`` as the files they are, beside what Hydra composes of them."""

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fitgap.config import project
from fitgap.errors import RequestError


def read_option(group: str, name: str) -> Mapping[str, Any]:
    """Return an option of ``conf/`` as it stands there, without what composing would add."""
    candidates = [folder / group / f"{name}.yaml" for folder in project.config_dirs()]
    return _read(next(path for path in candidates if path.is_file()))


def refuse_shared_names(metrics: Iterable[str]) -> None:
    """Refuse a metric that two options define, of which Hydra would make one of both.

    Parameters
    ----------
    metrics
        Names of an experiment's metrics.

    Raises
    ------
    RequestError
        Naming both files.
    """
    wanted = set(metrics)
    by_name: dict[str, Path] = {}
    for folder in project.config_dirs():
        for path in sorted((folder / "metrics").glob("*.yaml")):
            # Of equal file names the first folder's wins, as everywhere in conf/.
            names = [path.stem] if folder == project.CONFIG_DIR else _names(path)
            for name in wanted.intersection(names):
                other = by_name.setdefault(name, path)
                if other.name != path.name:
                    raise RequestError(
                        f"the metric {name} is defined by two options, {other} and {path}; "
                        "give one of them another name"
                    )


def _names(path: Path) -> tuple[str, ...]:
    return _names_as_of(path, path.stat().st_mtime_ns)


@functools.cache
def _names_as_of(path: Path, _time: int) -> tuple[str, ...]:
    try:
        found = _read(path)
    except (yaml.YAMLError, OSError):
        return ()  # Hydra says it better, if the option is chosen
    return tuple(map(str, found)) if isinstance(found, Mapping) else ()


def _read(path: Path) -> Mapping[str, Any]:
    option: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return option
