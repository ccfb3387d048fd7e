"""Any bytes where a file should be: each reader gives a result or names what is wrong.

``make fuzz`` tries for as long as it is told, guided by what the readers' code does with the bytes.
"""

import contextlib
import operator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fitgap_lab.fuzz import packed
from fitgap_lab.fuzz.examples import VALID
from fitgap_lab.fuzz.found import FOUND
from fitgap_lab.fuzz.readers import READERS, answer

fuzz = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@st.composite
def damaged(draw, whole):
    """Give bytes, most of them nearly those of a file that can be read.

    Of packed files what is inside, so that their checksums are right.
    """
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=300))
    parts, pack = {"": whole}, operator.itemgetter("")
    if draw(st.booleans()):
        with contextlib.suppress(packed.NotPackedError):
            parts, pack = packed.unpacked(whole)
    name = draw(st.sampled_from(sorted(parts)))
    return pack({**parts, name: draw(changed(parts[name]))})


@st.composite
def changed(draw, whole):
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "set", "cut", "insert", "double", "drop"]))
        if kind == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and content:
            content[at] = draw(st.sampled_from([0, 255, 128, 10, 34, 45, 92]))
        elif kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=12))
        elif kind == "double":
            content += content[at : at + 64]
        else:
            del content[at : at + draw(st.integers(1, 16))]
    return bytes(content)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.filterwarnings("ignore")  # of libraries, on what they read
def test_any_bytes_are_answered(reader):
    @fuzz
    @given(damaged(VALID[reader]))
    @example(VALID[reader])
    @example(b"")
    def check(content):
        answer(reader, content)

    check()


@pytest.mark.parametrize(
    ("reader", "number"), [(name, i) for name, found in FOUND.items() for i in range(len(found))]
)
@pytest.mark.filterwarnings("ignore")
def test_what_was_found_is_answered(reader, number):
    answer(reader, FOUND[reader][number])


@pytest.mark.parametrize("reader", sorted(set(READERS) - {"own_idx"}))
def test_the_whole_file_is_read(reader, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(VALID[reader])
    READERS[reader](path)
