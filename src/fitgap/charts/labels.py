"""Where the names beside points and lines go, so that they do not cover each other.

Worked out before the picture is drawn, in its own units, which a chart's data can then hold.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

CHARACTER, WIDE_CHARACTER, LINE = 6.4, 11.5, 13.0  # units of a name in 11 units high letters
AROUND = 7.0  # units from a point to its name
_GROUPS = re.compile(r"(?<![\w.])(?:\w+\.)+(?=\w+=)")  # ``training.`` of ``training.batch_size=32``

Box = tuple[float, float, float, float]  # left, top, right, bottom


def width_of(text: str) -> float:
    """Return about how wide a text is drawn; Chinese, Japanese and Korean letters are wide."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return wide * WIDE_CHARACTER + (len(text) - wide) * CHARACTER


def shortened(text: str, *, most: int = 44) -> str:
    """Return a text, without its middle if it is wider than ``most`` Latin characters.

    The groups of its settings go first.

    >>> shortened("dense_relu_100, adam", most=9)
    'dens…adam'
    >>> shortened("adam, optimizer.learning_rate=0.1, training.batch_size=32", most=40)
    'adam, learning_rate=0.1, batch_size=32'
    >>> shortened("깊은_신경망, adam", most=9)
    '깊은…adam'
    """
    room = most * CHARACTER
    if width_of(text) > room:
        text = _GROUPS.sub("", text)
    if width_of(text) <= room:
        return text
    half = (most - 1) // 2
    # No letter is narrower than a Latin one, so no more of them fit, however long the text is.
    head, tail = text[:half], text[len(text) - half :]
    while width_of(head) > half * CHARACTER:
        head = head[:-1]
    while width_of(tail) > half * CHARACTER:
        tail = tail[1:]
    return f"{head}…{tail}"


def short_names(names: Iterable[str], *, most: int = 100) -> dict[str, str]:
    """Return names as a picture writes them beside an axis, by name; no two become the same.

    What draws would cut a name as well, after a measurement that takes seconds for a very long one.

    >>> short_names(["adam", "aaaabaaaa", "aaaacaaaa"], most=5)
    {'adam': 'adam', 'aaaabaaaa': '#2 aa…aa', 'aaaacaaaa': '#3 aa…aa'}
    """
    short = {name: shortened(name, most=most) for name in names}
    counted = Counter(short.values())
    return {
        name: one if counted[one] == 1 else f"#{i} {one}"
        for i, (name, one) in enumerate(short.items(), start=1)
    }


def slant(names: Sequence[str], *, room: float) -> int:
    """Return the angle at which names stand below an axis: 0 if each fits into its room.

    >>> slant(["0", "1"], room=34), slant(["Ankle boot"], room=34)
    (0, -45)
    """
    return 0 if all(width_of(name) < room for name in names) else -45


def spread(wanted: Sequence[float], *, distance: float = LINE) -> list[float]:
    """Move positions on a line apart, each as little as possible, in their order.

    Parameters
    ----------
    wanted
        Where each would be.
    distance
        Least distance between two.

    Returns
    -------
    list of float
        In the order of ``wanted``.

    Examples
    --------
    >>> spread([10, 10, 50], distance=4)
    [8.0, 12.0, 50.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    # Blocks of names that touch; each lies around the middle of what its names want.
    blocks: list[list[int]] = []
    for i in order:
        blocks.append([i])
        while len(blocks) > 1 and _first(blocks[-1], wanted, distance) < (
            _first(blocks[-2], wanted, distance) + len(blocks[-2]) * distance
        ):
            last = blocks.pop()
            blocks[-1] += last
    placed = [0.0] * len(wanted)
    for block in blocks:
        first = _first(block, wanted, distance)
        for row, i in enumerate(block):
            placed[i] = first + row * distance
    return placed


def _first(block: Sequence[int], wanted: Sequence[float], distance: float) -> float:
    middle = sum(wanted[i] for i in block) / len(block)
    return middle - (len(block) - 1) * distance / 2


def beside(
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    *,
    size: tuple[float, float],
) -> list[tuple[float, float] | None]:
    """Find for each point a free place for its name.

    Parameters
    ----------
    points
        In units of the picture, from its upper left corner; the first are named first.
    names
        One for each.
    size
        Width and height of the picture, beyond which no name reaches.

    Returns
    -------
    list
        Left end and middle line of each name; None where every place is taken.
    """
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    found: list[tuple[float, float] | None] = []
    for (x, y), name in zip(points, names, strict=True):
        width = width_of(name)
        places = [
            (x + AROUND, y),
            (x - AROUND - width, y),
            *((x + shift, y + rise) for rise in (-13.0, 13.0) for shift in (3.0, -width / 2)),
            *((x - width - 3.0, y + rise) for rise in (-13.0, 13.0)),
            *((x - width / 2, y + rise) for rise in (-25.0, 25.0)),
        ]
        free = None
        for left, middle in places:
            box = (left, middle - LINE / 2, left + width, middle + LINE / 2)
            inside = box[0] >= 0 and box[2] <= size[0] and box[1] >= 0 and box[3] <= size[1]
            if inside and not any(_overlap(box, other) for other in taken):
                free = (left, middle)
                taken.append(box)
                break
        found.append(free)
    return found


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
