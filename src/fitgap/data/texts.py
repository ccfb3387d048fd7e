"""The user's own texts: a folder of ``.txt`` files for each class, or a column of a table.

A text is taken as the numbers of its words. Which of them a network knows is learned from the
training partition (`fitgap.data.preprocessing`); in the saved model Keras's TextVectorization
divides texts, which does as `words_of` does.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fitgap.config.checks import did_you_mean
from fitgap.config.schema import TableConfig, TextsConfig
from fitgap.data import encodings, regular_files, table_errors, table_file
from fitgap.data.encodings import Decoded
from fitgap.data.parts import PLAIN, Format, Part, Parts, SplitColumns, Words
from fitgap.data.rows import numbers_of
from fitgap.errors import RequestError, about

if TYPE_CHECKING:
    import pandas as pd

PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2  # of TextVectorization
_PUNCTUATION = re.compile(rb"[!\"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']")  # what it strips
_PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}

_MOST_NAMED = 5

Found = list[tuple[str, str, str]]  # name, text, label


def words_of(text: str) -> list[str]:
    """Return a text's words as TextVectorization has them: lower case (ASCII), no punctuation."""
    plain = _PUNCTUATION.sub(b"", text.encode().lower())
    return [word.decode(errors="replace") for word in plain.split()]


def files(config: TextsConfig) -> list[Path]:
    """Return the files that are read.

    Raises
    ------
    RequestError
        If there is none.
    """
    path = Path(config.path).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RequestError(f"dataset.path must be an existing folder or table, got {config.path}")
    return [file for _, _, file in _in_folder(path)[0]]


def read(
    config: TextsConfig, *, memory_limit: int | None, key: str, columns: SplitColumns
) -> Parts:
    """Read the parts of a dataset of texts into memory.

    Parameters
    ----------
    config
        ``path``, ``text``, ``label``, ``length`` and ``encoding``.
    memory_limit, key
        Not used: the numbers of the words always fit into memory.
    columns
        Refused, as texts have no such columns.

    Raises
    ------
    RequestError
        If a file or column is not there, or there is no text in one.
    """
    del memory_limit, key
    columns.refuse("texts have no such column")
    path = Path(config.path).expanduser()
    with about(f"dataset.path={config.path}"):
        by_part, notes, form = (_of_table if path.is_file() else _of_folder)(path, config)
        if "train" not in by_part:
            raise RequestError("there is no training part (train/)")
        divided = {
            part: [words_of(text) for _, text, _ in found] for part, found in by_part.items()
        }
        known = {word for texts in divided.values() for words in texts for word in words}
        if not known:
            raise RequestError("no text contains a word")
    number = {word: i for i, word in enumerate(sorted(known), start=FIRST_WORD)}
    labels = {part: np.array([each for *_, each in found]) for part, found in by_part.items()}
    numbers = {part: numbers_of(each) for part, each in labels.items()}
    are_numbers = all(np.isfinite(each).all() for each in numbers.values())
    parts = {
        part: Part(
            as_numbers(divided[part], number, length=config.length),
            numbers[part] if are_numbers else labels[part],
            "labels",
            [name for name, *_ in found],
        )
        for part, found in by_part.items()
    }
    words = Words(tuple(number), most=config.vocabulary, column=config.text)
    train = parts["train"]
    if "val" in parts:
        train = train.followed_by(parts["val"])
    return Parts(train, parts.get("test"), tuple(notes), words=words, format=form)


def as_numbers(
    texts: Sequence[Sequence[str]], number: dict[str, int], *, length: int
) -> NDArray[np.int32]:
    """Return the numbers of each text's first words, padded at the end.

    Parameters
    ----------
    texts
        The words of each text; n texts.
    number
        By word, from `FIRST_WORD`. A text without a word is `UNKNOWN`.
    length
        How many words count.

    Returns
    -------
    array of int32
        Shape (n, length).
    """
    x = np.full((len(texts), length), PADDING, np.int32)
    for row, words in zip(x, texts, strict=True):
        numbers = [number[word] for word in words[:length]] or [UNKNOWN]
        row[: len(numbers)] = numbers
    return x


def read_files(paths: Iterable[Path], config: TextsConfig, *, usual: Format) -> list[Decoded]:
    """Decode some text files, all with one encoding.

    Parameters
    ----------
    paths
        One text each.
    config
        ``encoding`` is used.
    usual
        How earlier files of the same kind are written.

    Raises
    ------
    RequestError
        If one cannot be read.
    """
    contents = []
    for path in paths:
        regular_files.refuse_others(path)
        try:
            contents.append(path.read_bytes())
        except OSError as error:
            raise RequestError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return encodings.decoded(contents, encoding=config.encoding, usual=usual.encoding)
    except (UnicodeError, LookupError) as error:
        raise RequestError(f"a text cannot be read: {error} (dataset.encoding)") from error


def read_rows(
    path: Path, config: TextsConfig, *, usual: Format
) -> tuple["pd.DataFrame", list[str]]:
    """Return the text column of a table, and notes as `fitgap.data.table.read_rows` has them.

    Parameters
    ----------
    path
        Of the table.
    config
        ``text`` names the column.
    usual
        How the file is written that the network learned from.

    Raises
    ------
    RequestError
        If the file cannot be read or has no such column.
    """
    found = _table(path, config, usual)
    with about(str(path)):
        of_text = _column(found.cells, config.text, "text")
    frame = frame_of(of_text.tolist(), config)
    return frame, found.notes if found.format != usual else []


def frame_of(texts: Sequence[str], config: TextsConfig) -> "pd.DataFrame":
    """Return texts as a network takes them: a table of one column."""
    import pandas as pd

    return pd.DataFrame({config.text: texts})


Texts = tuple[dict[str, Found], list[str], Format]


def _of_folder(path: Path, config: TextsConfig) -> Texts:
    found, others = _in_folder(path)
    if not found:
        shown = f"; among others, there is {others[0]}" if others else ""
        raise RequestError(
            f"there must be .txt files in a folder for each class, found none{shown}"
        )
    texts = read_files((file for _, _, file in found), config, usual=PLAIN)
    by_part: dict[str, Found] = {}
    for (part, label, file), each in zip(found, texts, strict=True):
        name = str(file.relative_to(path))
        if not each.text.strip():
            raise RequestError(f"{name} is empty")
        by_part.setdefault(part, []).append((name, each.text, label))
    notes = []
    if others:
        more = ", ..." if len(others) > _MOST_NAMED else ""
        shown = ", ".join(others[:_MOST_NAMED])
        notes.append(
            f"not read, since they are no .txt files of a class: {len(others)} files "
            f"({shown}{more})"
        )
    # All that are no UTF-8 are of one encoding.
    at = next((i for i, each in enumerate(texts) if each.encoding != "utf-8"), 0)
    notes += texts[at].notes(str(found[at][2].relative_to(path)))
    return by_part, notes, Format(encoding=texts[at].encoding)


def _in_folder(path: Path) -> tuple[list[tuple[str, str, Path]], list[str]]:
    """Return part, class and path of each text file, by path, and the names of other files."""
    found, others = [], []
    for file in sorted(path.rglob("*")):
        places = file.relative_to(path).parts
        if file.is_dir() or any(place.startswith(".") for place in places):
            continue
        part = _PARTS.get(places[0].lower()) if len(places) == 3 else "train"
        if part is not None and len(places) in (2, 3) and file.suffix == ".txt":
            found.append((part, places[-2], file))
        else:
            others.append("/".join(places))
    return found, others


def _of_table(path: Path, config: TextsConfig) -> Texts:
    table = _table(path, config, PLAIN)
    cells = table.cells
    texts = _column(cells, config.text, "text")
    labels = _column(cells, config.label, "label")
    for name, column in ((config.text, texts), (config.label, labels)):
        if (column == "").any():
            row = int((column == "").argmax()) + 1
            raise RequestError(
                f"column {name!r} is empty in {path.name}, row {row}; {int((column == '').sum())} "
                f"of {len(column)} rows are: remove them (rows without a target are left out by "
                f"dataset=table dataset.text={config.text} dataset.skip_unreadable=true)"
            )
    names = [f"{path.name}, row {row}" for row in range(1, len(texts) + 1)]
    found = list(zip(names, texts.tolist(), labels.tolist(), strict=True))
    return {"train": found}, table.notes, table.format


def _table(path: Path, config: TextsConfig, usual: Format) -> table_file.Table:
    as_table = TableConfig("table", path=str(path), label=config.label, encoding=config.encoding)
    return table_file.read(path, as_table, targets=[config.text, config.label], usual=usual)


def _column(cells: table_file.Cells, name: str, setting: str) -> NDArray[np.str_]:
    if name not in cells:
        advice = "; name its columns with dataset.text and dataset.label"
        raise table_errors.unknown_column(
            f"dataset.{setting}={name}", name, cells, way_out=did_you_mean(name, cells) or advice
        )
    return cells[name]
