"""What a shell completes after ``fitgap``: groups, options, settings, their values, metrics.

All of it is read from the files of ``conf/``, a person's own among them, as the help is.
"""

import os
import re
from collections.abc import Iterable, Iterator

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    split_arg_string,
)

from fitgap.commands import settings_help

PARTS = ("val", "gap", "train", "test", "test_gap")
_CHOICES = re.compile(r"[\w.]+(?: \| [\w.]+)+")  # of a phrase: `auto | compiled | fit`
_LAST_OF_LIST = re.compile(r"(?P<before>.*[,\[])?(?P<last>[^,\[]*)")


def overrides(incomplete: str) -> list[str]:
    """Return the overrides that begin as a word does.

    Parameters
    ----------
    incomplete
        ``opt``, ``optimizer=a``, ``optimizer=sgd,a``, ``metrics=[accuracy,f1``.
    """
    key, equals, value = incomplete.partition("=")
    if not equals:
        names = [*settings_help.groups(), *(name for name, *_ in settings_help.settings())]
        return [f"{name}=" for name in dict.fromkeys(names) if name.startswith(key)]
    found = _LAST_OF_LIST.fullmatch(value)
    if found is None:
        return []
    before = found["before"] or ""
    return [f"{key}={before}{one}" for one in _values(key) if one.startswith(found["last"])]


def words(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the overrides that begin as a word of Hydra's language does."""
    return [CompletionItem(word) for word in overrides(incomplete)]


def metrics(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the metrics of a record that begin as a word does."""
    names = ["loss", *settings_help.groups()["metrics"]]
    found = (f"{part}/{name}" for part in PARTS for name in names)
    return [name for name in found if name.startswith(incomplete)]


def _values(key: str) -> Iterable[str]:
    options = settings_help.groups().get(key.lstrip("+"))
    return options if options is not None else _values_of_setting(key.lstrip("+"))


def _values_of_setting(key: str) -> Iterator[str]:
    for name, value, phrase in settings_help.settings():
        if name == key and value in ("true", "false"):
            yield from ("true", "false")
        elif name == key and (choices := _CHOICES.match(phrase)):
            yield from choices[0].split(" | ")


class _Bash(BashComplete):
    """Completes overrides in bash, which splits ``optimizer=a`` into three words."""

    # No space after `optimizer=`, where the value follows.
    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *= ]] && compopt -o nospace"
    )
    _begins_with = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to be completed, and the beginning of that word."""
        words = split_arg_string(os.environ["COMP_WORDS"])
        number = int(os.environ["COMP_CWORD"])
        current = words[number] if number < len(words) else ""
        joined: list[str] = []
        for word in [*words[1:number], current]:
            if joined and word and (word == "=" or joined[-1].endswith("=")):
                joined[-1] += word
            else:
                joined.append(word)
        *before, incomplete = joined
        is_option = incomplete.startswith("-")  # click takes these apart itself
        self._begins_with = "" if is_option else incomplete.rpartition("=")[0]
        return before, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return an answer as the shell's function reads it."""
        value = str(item.value)
        return f"{item.type},{value.removeprefix(f'{self._begins_with}=')}"


def register() -> None:
    """Complete words in bash."""
    add_completion_class(_Bash)
