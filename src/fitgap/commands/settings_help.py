"""``fitgap train --help``: every group with its options, every setting with its phrase.

Both are read from the files of ``conf/``, where the phrases stand as comments, so that nothing is
composed and nothing can be out of date.
"""

import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from fitgap.config import project

HEAD = """\
Usage: fitgap train [-m] [GROUP=OPTION | SETTING=VALUE]...

Train one experiment (or, with -m, a sweep of them) and record its overfitting
gap in MLflow.

  fitgap train dataset=mnist architecture=dense_relu_512 optimizer=adam seed=1
  fitgap train -m optimizer=sgd,rmsprop,adam seed=0,1,2
  fitgap train experiment=fashion_dense_adam
  fitgap train sweep=optimizers dataset=fashion_mnist
"""
TAIL = """\
--help with GROUP=OPTION shows the settings of that option. --cfg job shows the
composed settings. --hydra-help shows Hydra's own flags.
"""
_INTERNAL = ("schema",)
# Options that Hydra's plugins bring, without a file in conf/.
_FROM_PLUGINS = {
    "hydra/launcher": ("basic", "joblib"),
    "hydra/sweeper": ("fitgap", "optuna"),
}
_LINE = re.compile(r"(?P<indent> *)(?P<key>[\w/]+): *(?P<value>.*?) *(?:(?<= )# *(?P<phrase>.*))?")
_CHOICE = re.compile(r"  - (?:override )?/?(?P<group>[\w/]+)(?:@\w+)?: \"?(?P<option>[\w.-]+)\"?")
_BASE = re.compile(r"  - (?!_self_|base_config)(\w+)")


def text(words: Sequence[str] = ()) -> str:
    """Return the help; overrides among the words choose the options whose settings it shows."""
    chosen = dict(word.partition("=")[::2] for word in words if "=" in word)
    width = min(shutil.get_terminal_size().columns, 100)
    lines = [HEAD, "Groups (choose with GROUP=OPTION):"]
    for group, options in groups().items():
        lines += textwrap.wrap(
            f"{group}: {', '.join(options)}",
            width=width,
            initial_indent="  ",
            subsequent_indent="      ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    lines += ["", "Settings (change with SETTING=VALUE):"]
    for name, value, phrase in settings(chosen):
        shown = f"  {name}={value}"
        gap = max(2, 44 - len(shown))
        lines += textwrap.wrap(
            f"{shown}{' ' * gap}{phrase}",
            width=width,
            subsequent_indent=" " * 46,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join([*lines, "", TAIL])


def groups() -> dict[str, list[str]]:
    """Return the options of each group, the person's own among them, sorted."""
    found: dict[str, set[str]] = {name: set(given) for name, given in _FROM_PLUGINS.items()}
    for root in project.config_dirs():
        for path in root.rglob("*.yaml"):
            group = path.parent.relative_to(root).as_posix()
            if group != "." and group.partition("/")[0] not in _INTERNAL:
                found.setdefault(group, set()).add(path.stem)
    return {group: sorted(found[group]) for group in sorted(found, key=_hydras_last)}


def _hydras_last(group: str) -> tuple[bool, str]:
    return group.startswith("hydra"), group


def settings(chosen: dict[str, str] | None = None) -> Iterator[tuple[str, str, str]]:
    """Yield name, default value and phrase of each setting.

    Parameters
    ----------
    chosen
        Options by group; the others are those of ``conf/train.yaml``.
    """
    found: dict[str, tuple[str, str]] = {}
    for name, value, phrase in _settings_in("train", prefix="", chosen=chosen or {}):
        # An option that stands on another says only what it changes.
        found[name] = (value, phrase or found.get(name, ("", ""))[1])
    yield from ((name, *rest) for name, rest in found.items())


def _settings_in(
    file: str, *, prefix: str, chosen: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    path = _find(file)
    if path is None:
        return
    above: list[str] = []
    inherited: list[str] = []
    inner: list[tuple[str, str]] = []
    own: list[tuple[str, str, str]] = []
    comment = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if choice := _CHOICE.fullmatch(line.partition(" #")[0].rstrip()):
            inner.append((choice["group"], choice["option"]))
            continue
        if base := _BASE.fullmatch(line):
            inherited.append(base[1])
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            comment = line.strip().removeprefix("#").strip() if "#" in line else ""
            continue
        depth = len(found["indent"]) // 2
        above = [*above[:depth], found["key"]]
        if above[0] in ("defaults", "hydra") or found["value"] == "":
            continue
        phrase = found["phrase"] or ""
        if found["key"] not in ("name", "_target_") or not prefix:
            own.append((prefix + ".".join(above), found["value"], phrase or comment))
        comment = ""
    group = file.rpartition("/")[0]
    for name in inherited:
        yield from _settings_in(f"{group}/{name}", prefix=prefix, chosen=chosen)
    for name, default in inner:
        if name.startswith(("hydra", "schema")) or default == "null":
            continue
        inside = f"{group}/{name}" if group else name
        option = chosen.get(inside, default)
        yield from _settings_in(
            f"{inside}/{option}", prefix=f"{inside.replace('/', '.')}.", chosen=chosen
        )
    yield from own


def _find(file: str) -> Path | None:
    return next((p for d in project.config_dirs() if (p := d / f"{file}.yaml").exists()), None)
