"""The memory of the data's digests."""

import dataclasses
import json

import pytest

from fitgap import identity
from fitgap.config import project
from fitgap.data import datasets, readers


@pytest.fixture(autouse=True)
def cache_file(tmp_path, monkeypatch):
    monkeypatch.setenv(project.VARIABLE, str(tmp_path))
    return tmp_path / ".fitgap" / "digests.json"


@pytest.fixture
def loads(monkeypatch):
    """Return the list of datasets loaded from now on."""
    loaded = []
    load = datasets.load

    def count(config, **how):
        loaded.append(config)
        return load(config, **how)

    monkeypatch.setattr(datasets, "load", count)
    return loaded


@pytest.fixture(scope="module")
def digits(compose):
    return compose()


def test_digests_are_computed_once(cache_file, loads, digits):
    first = identity.data_facts(digits)
    assert (first.image_bytes, first.num_classes) == (1797 * 64, 10)
    assert first.dataset_digest == datasets.load(digits.dataset).digest
    del loads[:]
    assert identity.data_facts(digits) == first
    assert loads == []
    assert {path.name for path in cache_file.parent.iterdir()} <= {"digests.json", "modules.json"}


def test_another_split_is_another_entry(cache_file, digits):
    other = dataclasses.replace(digits, split=dataclasses.replace(digits.split, seed=1))
    first, second = identity.data_facts(digits), identity.data_facts(other)
    assert first.dataset_digest == second.dataset_digest
    assert first.split_digest != second.split_digest
    assert len(json.loads(cache_file.read_text())) == 2


def test_a_file_that_changed_is_read_again(loads, digits, monkeypatch):
    identity.data_facts(digits)
    monkeypatch.setattr(readers, "fingerprint", lambda _config: "another time or size")
    identity.data_facts(digits)
    assert len(loads) == 2


def test_what_has_no_file_is_not_remembered_as_if_it_had(loads, digits, monkeypatch):
    monkeypatch.setattr(readers, "fingerprint", lambda _config: None)
    for _ in range(2):
        identity.data_facts(digits)
    assert len(loads) == 2


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "5", '{"a": 5}', '{"a": {"dataset_digest": "x"}}', "\udcff"]
)
def test_a_damaged_memory_is_computed_anew(cache_file, loads, digits, content):
    first = identity.data_facts(digits)
    cache_file.write_bytes(content.encode(errors="surrogateescape"))
    assert identity.data_facts(digits) == first
    assert len(loads) == 2
    assert identity.data_facts(digits) == first
    assert len(loads) == 2


def test_without_a_place_to_remember_the_answer_is_the_same(tmp_path, monkeypatch, loads, digits):
    # Permissions do not bind root, as whom containers run tests; a file in the way does.
    (tmp_path / "in_the_way").touch()
    monkeypatch.setenv(project.VARIABLE, str(tmp_path / "in_the_way"))
    assert identity.data_facts(digits) == identity.data_facts(digits)
    assert len(loads) == 2
