"""The examples in docstrings."""

import doctest
import importlib

import pytest

from fitgap.config import project
from fitgap.training import backend

SOURCE = project.CHECKOUT / "src"
MODULES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for package in ("fitgap", "fitgap_lab")
    for path in sorted((SOURCE / package).rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name):
    backend.start(threads=1)
    assert doctest.testmod(importlib.import_module(name)).failed == 0
