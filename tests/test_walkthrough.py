"""What the walk-through shows is what its code does, on the real data."""

import re

import pytest

from fitgap.config import project
from fitgap_lab.verification import walkthrough

PAGE = project.CHECKOUT / "docs" / "HOW_A_NETWORK_LEARNS.md"


@pytest.fixture
def write_page(tmp_path):
    def write(*blocks):
        page = tmp_path / "page.md"
        page.write_text("text\n\n" + "\n\n".join(f"```{block}\n```" for block in blocks))
        return page

    return write


def test_the_page_says_what_its_code_does(real_data, monkeypatch):
    monkeypatch.setenv("FITGAP_DATA_DIR", str(real_data))
    computed = walkthrough.run(PAGE)
    assert len(computed["losses"]) == 469


def test_every_picture_of_the_page_is_there():
    links = re.findall(r"!\[.*\]\((.*)\)", PAGE.read_text(encoding="utf-8"))
    assert len(links) == 4
    for link in links:
        assert (PAGE.parent / link).is_file()


def test_blocks_run_in_order_and_share_what_they_define(write_page):
    page = write_page(
        "python\nx = 1", "\nnot python", "python\n>>> y = x + 1\n>>> y\n2", "python\nz = y"
    )
    assert walkthrough.run(page)["z"] == 2


def test_an_output_that_differs_is_found_with_its_line(write_page):
    with pytest.raises(AssertionError, match=r'page.md", line 8(.|\n)*Expected:\n *3\nGot:\n *2'):
        walkthrough.run(write_page("python\nx = 1", "python\n>>> x + 1\n3"))


def test_an_error_is_found_with_its_line(write_page):
    with pytest.raises(ZeroDivisionError) as caught:
        walkthrough.run(write_page("python\nx = 1", "python\n\nx / 0"))
    assert caught.traceback[-1].lineno + 1 == 9
