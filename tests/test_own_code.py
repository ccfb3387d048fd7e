"""A person's own code: what a target means, what counts of its source, where it failed."""

import importlib
import importlib.machinery
import importlib.metadata
import sys
from pathlib import Path

import pytest

from fitgap.config import fingerprints, own_code, targets
from fitgap.errors import RequestError


@pytest.fixture
def project(tmp_path, monkeypatch):
    def write(**files):
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def files_of(*targets):
    return set(own_code.code_of(targets).texts)


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("x = 1", "x = (1)  # one", True),
        ('def f():\n    """Say."""\n    return 1', "def f():\n\n    return 1", True),
        ("x = 'a'", 'x = "a"', True),
        ("x = 1", "x = 2", False),
        ("x = 1", "y = 1", False),
        ("return_ = None", "return_ = 0", False),
        ("x = 'text'\n'text'", "x = 'text'", False),
    ],
)
def test_what_a_source_does_counts_and_not_how_it_is_written(first, second, is_same):
    same = fingerprints.fingerprint(first) == fingerprints.fingerprint(second)
    assert same is is_same


def test_a_class_in_a_package_is_found_with_all_that_it_imports(project, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    project(
        models__nets="from . import parts\nfrom models.more import thing\nclass Net: pass\n",
        models__parts="import helper\n",
        models__more="def thing():\n    import late\n",
        helper="import json, numpy\n",
        late="",
        unrelated="",
    )
    expected = {"models/__init__.py", "models/nets.py", "models/parts.py", "models/more.py"}
    assert files_of("models.nets.Net") == expected | {"helper.py", "late.py"}
    assert set(own_code.code_of(["models.nets.Net"]).packages) == {"numpy"}


def test_modules_that_import_each_other_are_taken_once(project):
    project(one="import two\n", two="import one\n")
    assert files_of("one.f") == {"one.py", "two.py"}


def test_imports_for_types_alone_do_not_count(project):
    project(one="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import two\n", two="")
    assert files_of("one.f") == {"one.py"}


def test_what_is_imported_by_a_computed_name_is_said(project):
    project(one="import importlib\nimportlib.import_module('two')\n", two="")
    assert files_of("one.f") == {"one.py", "two.py"}
    assert own_code.code_of(["one.f"]).unknown == ()
    project(one="import importlib\ndef f(name):\n    return importlib.import_module(name)\n")
    (unknown,) = own_code.code_of(["one.f"]).unknown
    assert "one" in unknown


def test_an_importing_function_under_another_name_is_followed(project):
    project(one="from importlib import import_module as load\nload('two')\n", two="")
    assert files_of("one.f") == {"one.py", "two.py"}


def test_a_module_that_is_found_only_in_a_folder_that_code_adds_is_said(project, tmp_path):
    (tmp_path / "lib").mkdir()
    optional = "try:\n    import no_such_package\nexcept ImportError:\n    pass\n"
    project(one="import sys\nsys.path.insert(0, 'lib')\nimport hidden\n", two=optional)
    (tmp_path / "lib" / "hidden.py").touch()
    (unknown,) = own_code.code_of(["one.f"]).unknown
    assert "one, which imports hidden" in unknown
    assert own_code.code_of(["two.f"]).unknown == ()


def test_what_a_module_imports_from_beside_it_is_known(project, tmp_path):
    (tmp_path / "models" / "deep").mkdir(parents=True)
    project(
        models__nets="from .parts import width\nfrom .deep.more import depth\n",
        models__parts="width = 8\n",
        models__deep__more="from ..parts import width as depth\n",
    )
    found = own_code.code_of(["models.nets.f"])
    assert found.unknown == ()
    assert set(found.texts) == {"models/nets.py", "models/parts.py", "models/deep/more.py"}


def test_compiled_modules_of_ones_own_are_said(project, tmp_path):
    ending = importlib.machinery.EXTENSION_SUFFIXES[0]
    (tmp_path / "package").mkdir()
    (tmp_path / f"fast{ending}").touch()
    (tmp_path / "package" / f"core{ending}").touch()
    (tmp_path / "package" / "__init__.py").touch()
    project(one="import numpy, fast\n", two="from package import core\n")
    for target, name in [
        ("one.f", "fast"),
        ("two.f", "package.core"),
        ("fast.f", "fast"),
        ("package.core.f", "package.core"),
    ]:
        (unknown,) = own_code.code_of([target]).unknown
        assert name in unknown
        assert "compiled" in unknown


def test_files_in_the_folders_that_code_names_count(project, tmp_path):
    (tmp_path / "assets" / "deep").mkdir(parents=True)
    files = ["assets/w.npy", "assets/deep/v.csv", "assets/u.h5", "base"]
    for name in files:
        (tmp_path / name).write_text("1")
    project(
        one="import os\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"
        "A = HERE / 'assets' / 'w.npy', os.path.join('assets', 'deep', 'v.csv')\n"
        "B = f'{HERE}/assets/u.h5', open('base')\n"
    )
    before = own_code.code_of(["one.f"]).data_files
    for name in files:
        (tmp_path / name).write_text("other")
        after = own_code.code_of(["one.f"]).data_files
        assert before != after, name
        before = after


def test_files_of_one_name_in_two_folders_all_count(project, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "w.npy").write_text(name)
    project(one="A = 'first', 'second', 'w.npy'\n")
    before = own_code.code_of(["one.f"]).data_files["w.npy"]
    (tmp_path / "second" / "w.npy").write_text("third one")
    assert own_code.code_of(["one.f"]).data_files["w.npy"] != before


def test_a_file_that_a_callback_writes_does_not_count_but_where_others_name_it(project, tmp_path):
    (tmp_path / "log.csv").write_text("1")
    project(calls="import both\nA = 'log.csv'\n", both="B = 'log.csv'\n", net="import both\n")
    assert own_code.code_of(["calls.Log"], writers=["calls.Log"]).data_files == {}
    named = own_code.code_of(["calls.Log", "net.f"], writers=["calls.Log"])
    assert set(named.data_files) == {"log.csv"}
    assert {"calls.py", "both.py", "net.py"} <= set(named.texts)


def test_files_that_cannot_be_read_do_not_count(project, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    for name in ("data/mine.csv", "data/theirs.csv"):
        (tmp_path / name).write_text(name)
    opened = Path.open

    def refuse(path, *args, **kwargs):
        if path.name == "theirs.csv":
            raise PermissionError(path)
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    project(one="A = 'data/mine.csv', 'data/theirs.csv'\n")
    assert set(own_code.code_of(["one.f"]).data_files) == {"data/mine.csv"}
    assert set(fingerprints.folder_digests(["data"], folders=[tmp_path])) == {"data"}


def test_a_file_that_was_moved_within_a_folder_changes_the_folder(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "w.npy").write_text("1")
    before = fingerprints.folder_digests(["data"], folders=[tmp_path])
    assert fingerprints.folder_digests(["data"], folders=[tmp_path, tmp_path]) == before
    (tmp_path / "data" / "w.npy").rename(tmp_path / "data" / "deep" / "w.npy")
    assert fingerprints.folder_digests(["data"], folders=[tmp_path]) != before


def test_a_folder_that_names_itself_is_looked_at_once(project, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.csv").write_text("1")
    project(one="A = 'data', '../data', 'w.csv'\n")
    assert own_code.code_of(["one.f"]).data_files.keys() == {"w.csv"}
    folders = fingerprints.named_folders(["data", "../data"], within=[tmp_path])
    assert [folder.resolve() for folder in folders] == [tmp_path, tmp_path / "data"]


@pytest.mark.parametrize("target", ["keras.layers.Dense", "fitgap.models.dense", "json.dumps"])
def test_what_is_installed_is_not_own(target):
    assert not targets.is_own(target)
    assert files_of(target) == set()


def test_a_function_made_inside_another_counts_with_what_it_names():
    factor = 3

    def scale(x):
        return x * factor * helper(x)

    target = targets.register(scale)
    code = own_code.code_of([target])
    assert set(code.texts) == {"given.py", "test_own_code.py"}  # the helper's module
    for part in ("return x * factor", "factor = 3", "import helper as helper"):
        assert part in code.texts["given.py"]
    assert code.unknown == ()
    assert targets.locate(target) is scale


def test_the_values_that_a_function_was_made_with_count():
    def make(factor):
        def scale(x):
            return x * factor

        return scale

    texts = [
        own_code.code_of([targets.register(make(factor))]).fingerprints for factor in (2, 2, 3)
    ]
    assert texts[0] == texts[1] != texts[2]


def helper(x):
    return x


def test_a_module_within_a_package_that_a_given_function_names_counts(project, tmp_path):
    project(package__part="def half(x):\n    return x\n")
    (tmp_path / "package" / "__init__.py").touch()
    package = importlib.import_module("package")
    importlib.import_module("package.part")

    def scale(x):
        return package.part.half(x)

    code = own_code.code_of([targets.register(scale)])
    assert {"package/__init__.py", "package/part.py"} < set(code.texts)
    assert "import package.part\n" in code.texts["given.py"]


class Maker:
    def __init__(self, units):
        self.units = units

    def make(self, x):
        return x * self.units


def test_what_a_method_keeps_in_its_object_is_not_known():
    Maker.__module__ = "__main__"  # as in a script
    Maker.make.__module__ = "__main__"
    (unknown,) = own_code.code_of([targets.register(Maker(3).make)]).unknown
    assert "make, a method" in unknown


def test_lambdas_that_stand_together_cannot_be_told_apart():
    def make():
        return [lambda x: x, lambda x: x + 1]

    (unknown,) = own_code.code_of([targets.register(make()[1])]).unknown
    assert "several" in unknown
    alone = lambda x: x  # noqa: E731 - what is tested
    assert own_code.code_of([targets.register(alone)]).unknown == ()


def test_what_has_no_source_is_said():
    made = {}
    exec("def f(x):\n    return x\n", made)
    code = own_code.code_of([targets.register(made["f"])])
    assert code.texts == {}
    assert "no source" in code.unknown[0]


@pytest.mark.parametrize(
    ("text", "target", "parts"),
    [
        ("", "one.missing", ["one.missing does not exist", "one has no missing"]),
        ("def net(): ...", "one.nett", ["one has no nett; did you mean net?"]),
        ("", "no_such.f", ["there is no module no_such"]),
        ("import no_such", "one.f", ["one.py, line 1: import no_such"]),
        ("x = 1\ny = x / 0", "one.f", ["ZeroDivisionError", "one.py, line 2: y = x / 0"]),
        ("def f(:", "one.f", ["SyntaxError", "one.py, line 1"]),
    ],
)
def test_what_cannot_be_imported_is_named_with_the_persons_own_line(project, text, target, parts):
    project(one=text)
    with pytest.raises(RequestError) as caught:
        targets.locate(target)
    assert len(str(caught.value).splitlines()) == 1
    for part in parts:
        assert part in str(caught.value)


def test_a_module_of_the_project_is_the_same_passed_or_named(project):
    project(one="def f(x):\n    return x\n")
    named = own_code.code_of(["one.f"])
    assert targets.register(targets.locate("one.f")) == "one.f"
    assert own_code.code_of(["one.f"]) == named
    targets._given.clear()


def test_a_module_that_was_edited_after_its_import_is_not_taken_for_what_runs(project):
    project(one="import two\ndef f(x):\n    return x\n", two="A = 1\n")
    own_code.code_of(["one.f"])
    targets.locate("one.f")
    own_code.code_of(["one.f"])
    project(two="A = 1  # a comment\n")
    own_code.code_of(["one.f"])
    project(two="A = 2\n")
    with pytest.raises(RequestError, match=r"two\.py was edited .*\n.*importlib\.reload\(two\)"):
        own_code.code_of(["one.f"])
    importlib.invalidate_caches()
    importlib.reload(sys.modules["two"])
    own_code.code_of(["one.f"])


@pytest.mark.parametrize(
    "tops", [["sklearn"], ["yaml", "PIL"], ["numpy", "six", "google", "click"]]
)
def test_versions_are_those_of_the_distributions_that_hold_the_packages(tops):
    distributions = importlib.metadata.packages_distributions()
    expected = {
        name: importlib.metadata.version(name)
        for top in tops
        for name in distributions.get(top, ())
    }
    found = own_code.package_versions([f"{top}.something" for top in tops], known=())
    assert found == expected
