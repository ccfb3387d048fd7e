"""What a person types after ``fitgap train``, rewritten so that Hydra reads it.

Hydra's flags must come before its overrides, and its language of values has no room for a path
with parentheses or a name in Korean unless they are quoted.
"""

import re
from collections.abc import Collection, Sequence

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.errors import HydraException

from fitgap.config import function_options
from fitgap.config.checks import did_you_mean
from fitgap.config.model_checks import WARMUP_SETTINGS, optimizer_settings
from fitgap.config.options import is_group
from fitgap.config.quoting import quoted
from fitgap.errors import RequestError
from fitgap.trust.text import HIDDEN, is_existing_path

# Hydra's flags that take the next word.
_WITH_VALUE = {
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--experimental-rerun"),
}
_MULTIRUN = {"-m", "--multirun"}
# Groups of which a run may have several options.
_LISTS = ("metrics", "callbacks", "loggers")
# Between brackets: a word that has letters or signs which Hydra's grammar does not know.
_IN_WORD = r"[^\s,:=()\[\]{}'\"]"
_FOREIGN_WORD = re.compile(rf"{_IN_WORD}*?(?![\w/\\+.$%*@?|-]){_IN_WORD}+", re.ASCII)
_KEY = re.compile(r"[+~]{0,2}[\w/.@:-]+=")


def for_hydra(words: Sequence[str]) -> list[str]:
    """Return the words in an order and a spelling that Hydra reads.

    Parameters
    ----------
    words
        Flags and overrides in any order.

    Returns
    -------
    list of str
        Flags first; a value that Hydra cannot read and that can only be plain text is quoted. A
        setting of an optimizer may be one that its option does not list.

    Raises
    ------
    RequestError
        If a flag does not exist, a value is a hidden secret, or as `refuse_repeated` does.
    """
    flags: list[str] = []
    others: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word.startswith("-"):
            refuse_unknown(word)
            flags.append(word)
            if word in _WITH_VALUE and (value := next(remaining, None)) is not None:
                flags.append(value)
        else:
            others.append(word)
    refuse_repeated(others)
    refuse_hidden(others)
    is_sweep = bool(_MULTIRUN & set(flags))
    quoted_words = [quoted_where_needed(word, is_sweep=is_sweep) for word in others]
    of_functions = {group for word in others if (group := importable(word))}
    return [*flags, *(added_where_needed(word, of_functions) for word in quoted_words)]


def refuse_unknown(flag: str) -> None:
    """Refuse a flag that Hydra does not have; Hydra itself would print a page.

    Raises
    ------
    RequestError
        With the nearest one that there is.
    """
    # Neither Hydra nor argparse says its flags publicly; a test tries one that exists.
    known = [name for action in get_args_parser()._actions for name in action.option_strings]
    if flag.partition("=")[0] not in known:
        raise RequestError(
            f"{flag}: there is no such option{did_you_mean(flag, known)}",
            "A setting is written without dashes, for example training.epochs=3",
        )


def refuse_hidden(overrides: Sequence[str]) -> None:
    """Refuse what stands for a secret in a printed command, and would be taken for its value.

    Raises
    ------
    RequestError
        Naming the setting.
    """
    for override in overrides:
        name, _, value = override.partition("=")
        key = name.lstrip("+")
        if HIDDEN in value and not key.startswith("tags."):
            raise RequestError(f"{key} holds {HIDDEN}, which stands for a secret; give its value")


def refuse_repeated(overrides: Sequence[str]) -> None:
    """Refuse options that Hydra would leave out without a word.

    Of two options of one group it would use the last one, and so of a list of options, unless a run
    may have several of them. In such a list it would use the same option once. A setting may be
    given twice: its last value counts, as in every application of Hydra.

    Raises
    ------
    RequestError
        Naming what was given.
    """
    given: dict[str, str] = {}
    for override in overrides:
        name, _, value = override.partition("=")
        key = name.lstrip("+")
        is_list = value.startswith("[") and is_group(key)
        if is_list and key not in _LISTS:
            raise RequestError(
                f"{key} takes one option, got {override}; to train with each of several, "
                f"sweep them: {key}=a,b (in Python: Study.sweep)"
            )
        listed = [option.strip() for option in value[1:-1].split(",")] if is_list else []
        for option in listed:
            if re.fullmatch(r"[\d.]+|null|true|false", option):
                raise RequestError(f"{key} needs the names of options, got {override}")
            if listed.count(option) > 1:
                raise RequestError(f"{key} names {option} twice, got {override}")
        if key in given and is_group(key):
            raise RequestError(
                f"{key} is given twice, as {given[key]} and as {override}; give it once"
            )
        given[key] = override


def importable(override: str) -> str | None:
    """Make options of the import paths of an override, as of ``architecture=models.residual``.

    Returns
    -------
    str or None
        The group, if there were any.
    """
    group, _, values = override.partition("=")
    paths = [value.strip("'\"") for value in values.split(",")]
    offered = [function_options.offer_importable(group, path) for path in paths]
    return group if any(offered) else None


def added_where_needed(override: str, of_functions: Collection[str] = ()) -> str:
    """Allow settings that Keras's optimizers and schedules take, even if no option lists them.

    So are the parameters of a function that is named by its import path. Whether what is chosen
    takes it is checked with the settings.

    >>> added_where_needed("optimizer.use_ema=true")
    '++optimizer.use_ema=true'
    >>> added_where_needed("training.schedule.warmup_steps=9")
    '++training.schedule.warmup_steps=9'
    >>> added_where_needed("optimizer.learning_rate=1")
    'optimizer.learning_rate=1'
    >>> added_where_needed("architecture.width=8", {"architecture"})
    '++architecture.width=8'
    """
    key = override.partition("=")[0]
    group, _, name = key.partition(".")
    is_known = (group == "optimizer" and name in optimizer_settings()) or key in WARMUP_SETTINGS
    is_added = is_known or (bool(name) and group in of_functions)
    return f"++{override}" if is_added and "=" in override else override


def quoted_where_needed(override: str, *, is_sweep: bool) -> str:
    """Quote an override's value if Hydra cannot read it and it is no list, mapping or sweep.

    >>> quoted_where_needed("dataset.path=archive (3)", is_sweep=False)
    "dataset.path='archive (3)'"
    >>> quoted_where_needed("optimizer=sgd,adam", is_sweep=True)
    'optimizer=sgd,adam'
    >>> quoted_where_needed("dataset.drop=[id,Größe]", is_sweep=False)
    "dataset.drop=[id,'Größe']"
    >>> quoted_where_needed("architecture=작은_망,dense", is_sweep=True)
    "architecture='작은_망',dense"
    >>> quoted_where_needed("dataset.missing=[#DIV/0!,n/k]", is_sweep=False)
    "dataset.missing=['#DIV/0!',n/k]"
    """
    found = _KEY.match(override)
    value = override[found.end() :] if found else ""
    # Hydra takes a comma for a sweep, and spaces at the ends away.
    is_path = ("," in value or value != value.strip()) and is_existing_path(value)
    if found is None or (_is_readable(override) and not is_path):
        return override
    functions = "|".join(create_functions().definitions)
    inside = found[0] + _FOREIGN_WORD.sub(lambda word: quoted(word[0]), value)
    is_list = is_sweep and "," in value and not is_path
    if (is_list or value[:1] in "[{") and _is_readable(inside):
        return inside
    is_structure = re.match(rf"[\[{{'\"]|(?:{functions})\(|.*\$\{{", value)
    if is_structure or is_list:
        return override
    return found[0] + quoted(value)


def _is_readable(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True
