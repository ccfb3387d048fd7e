"""What makes two runs the same: the source of fitgap, and a person's own code and files."""

import shutil
import sys
from pathlib import Path

import pytest

from fitgap import components, identity
from fitgap.config import settings
from fitgap.training.engines.choice import EngineChoice
from identities import changed, identity_of

PACKAGE = Path(identity.__file__).parent
pytestmark = pytest.mark.usefixtures("folder")  # the memory of fingerprints is the test's own


# The source of fitgap.


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a copy of the package's source, which the identity looks at instead."""
    folder = tmp_path / "fitgap"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(components, "_PACKAGE", folder)
    return folder


def components_of(plain, *, engine="compiled"):
    components.fingerprint_of_modules.cache_clear()
    config = settings.from_plain(plain)
    choice = EngineChoice(engine, xla=False, reason="")
    return dict(identity.sources_of(config, choice=choice).components)


@pytest.mark.parametrize(
    ("module", "engine", "changed_components"),
    [
        ("training/loop", "compiled", {"loop"}),
        ("training/class_weights", "compiled", {"loop"}),
        ("models/build", "compiled", {"loop", "network", "engine"}),
        ("models/architectures", "compiled", {"network"}),
        ("training/engines/compiled", "compiled", {"engine"}),
        ("training/engines/keras_fit", "fit", {"engine"}),
        ("training/engines/numpy_reference", "numpy", {"engine"}),
        ("reference/optimizers", "numpy", {"engine"}),
        ("data/published", "compiled", {"reader"}),
        ("data/splits", "compiled", {"split"}),
        # What the run does not use.
        ("training/engines/numpy_reference", "compiled", set()),
        ("reference/optimizers", "compiled", set()),
        ("data/npz", "compiled", set()),
        ("data/readers", "compiled", set()),
        ("data/table_file", "compiled", set()),
        ("training/metric_cost", "compiled", set()),
        ("locks", "compiled", set()),
        ("store/database", "compiled", set()),
        ("tracking/run_writer", "compiled", set()),
        ("comparison/groups", "compiled", set()),
    ],
)
def test_a_change_counts_for_the_components_that_use_the_module(
    package, plain_settings, module, engine, changed_components
):
    before = components_of(plain_settings, engine=engine)
    path = package / f"{module}.py"
    path.write_text(path.read_text() + "\nADDED = 1\n")
    after = components_of(plain_settings, engine=engine)
    assert {name for name in before if before[name] != after[name]} == changed_components


@pytest.mark.parametrize("module", ["config/data_checks", "config/tasks", "trust/text"])
def test_checks_and_messages_are_no_part_of_a_reader(package, plain_settings, module):
    arrays = {"name": "npz", "path": "own.npz", "test_fraction": 0.2, "test_seed": 42}
    before = components_of(plain_settings | {"dataset": arrays})
    path = package / f"{module}.py"
    path.write_text(path.read_text() + "\nADDED = 1\n")
    after = components_of(plain_settings | {"dataset": arrays})
    assert after["reader"] == before["reader"]


@pytest.mark.parametrize(("text", "counts"), [(None, False), ("review", True)])
def test_what_a_word_is_counts_for_a_table_with_a_column_of_texts(
    package, plain_settings, text, counts
):
    table = {"name": "csv", "path": "own.csv", "test_fraction": 0.2, "test_seed": 42}
    plain = plain_settings | {"dataset": table | {"label": "label", "text": text}}
    before = components_of(plain)
    path = package / "data/texts.py"
    path.write_text(path.read_text() + "\nADDED = 1\n")
    assert (components_of(plain)["reader"] != before["reader"]) == counts


def test_comments_and_docstrings_do_not_count(package, plain_settings):
    before = components_of(plain_settings)
    for module in ("training/loop", "models/build", "data/splits"):
        path = package / f"{module}.py"
        path.write_text("# A comment.\n" + path.read_text().replace('"""', '"""Really: ', 1))
    assert components_of(plain_settings) == before


# A person's own code.

NETWORKS = '''
"""Networks."""
import helper  # another module of the project

def net(x, units=64):
    return helper.hidden(x, units)
'''
HELPER = "def hidden(x, units):\n    return units\n"


@pytest.fixture
def own_project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "nets.py").write_text(NETWORKS)
    (folder / "helper.py").write_text(HELPER)
    (folder / "unrelated.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def own_settings(plain_settings):
    architecture = {"_target_": "nets.net", "name": "net", "title": None}
    return plain_settings | {"architecture": architecture}


@pytest.mark.parametrize(
    ("file", "text", "counts"),
    [
        ("nets.py", NETWORKS.replace("64", "2"), True),
        ("helper.py", HELPER.replace("return units", "return units + 1"), True),
        ("unrelated.py", "A = 2\n", False),
        ("nets.py", NETWORKS.replace("Networks", "Nets").replace("# another", "# one"), False),
    ],
    ids=["the function", "a module it imports", "a module it does not", "a comment"],
)
def test_own_code_counts_as_far_as_the_run_uses_it(own_project, own_settings, file, text, counts):
    before = identity_of(own_settings)
    (own_project / file).write_text(text)
    assert (identity_of(own_settings) != before) is counts


def test_own_code_is_found_without_being_imported(own_project, own_settings):
    (own_project / "helper.py").write_text("raise SystemExit('imported')\n")
    identity_of(own_settings)
    assert "nets" not in sys.modules


def test_the_bytes_of_a_file_that_a_setting_names_count(own_project, own_settings):
    (own_project / "base.weights.h5").write_bytes(b"one")
    named = changed(own_settings, "architecture.weights", "base.weights.h5")
    before = identity_of(named)
    (own_project / "base.weights.h5").write_bytes(b"two")
    assert identity_of(named) != before


def test_the_bytes_in_a_folder_that_a_setting_names_count(own_project, own_settings):
    (own_project / "saved" / "variables").mkdir(parents=True)
    file = own_project / "saved" / "variables" / "part"
    file.write_bytes(b"one")
    named = changed(own_settings, "architecture.filepath", "saved")
    before = identity_of(named)
    file.write_bytes(b"two!")
    assert identity_of(named) != before
    around = changed(own_settings, "architecture.filepath", str(own_project))
    before = identity_of(around)
    file.write_bytes(b"three")
    assert identity_of(around) == before


def test_the_bytes_of_a_file_that_own_code_names_count(own_project, own_settings):
    (own_project / "helper.py").write_text(HELPER + "WEIGHTS = 'base.npy'\n")
    (own_project / "base.npy").write_bytes(b"one")
    before = identity_of(own_settings)
    (own_project / "base.npy").write_bytes(b"two!")
    assert identity_of(own_settings) != before


def test_a_file_that_a_callback_writes_does_not_count(own_project, plain_settings):
    logger = {"_target_": "keras.callbacks.CSVLogger", "filename": "log.csv"}
    plain = changed(plain_settings, "training.callbacks", {"log": logger})
    before = identity_of(plain)
    (own_project / "log.csv").write_text("epoch")
    assert identity_of(plain) == before


@pytest.mark.parametrize("section", ["optimizer", "training.callbacks", "training.schedule"])
def test_own_code_counts_wherever_a_setting_names_it(own_project, plain_settings, section):
    node = {"_target_": "helper.hidden", "name": "mine"}
    plain = changed(plain_settings, section, {"x": node} if "callbacks" in section else node)
    before = identity_of(plain)
    (own_project / "helper.py").write_text(HELPER + "B = 1\n")
    assert identity_of(plain) != before
