"""What makes two runs the same, and the memory of the data's digests."""

import copy
import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest

from fitgap import components, identity
from fitgap.config import project, settings
from fitgap.data import datasets, readers
from fitgap.identity import DataFacts
from fitgap.training.engines.choice import EngineChoice

FACTS = DataFacts(
    dataset_digest="d",
    split_digest="s",
    image_bytes=5,
    num_classes=10,
    image_shape=(28, 28),
    value_type="uint8",
    class_names=("a", "b"),
    leakage="",
)
CHOICE = EngineChoice("compiled", xla=True, reason="by rule")
PACKAGE = Path(identity.__file__).parent


@pytest.fixture(scope="module")
def plain_settings(compose):
    stopping = "training/early_stopping=on"
    return settings.to_plain(compose("architecture=dense", stopping, "tags={a: 1, b: 2}"))


def identity_of(plain, *, facts=FACTS, choice=CHOICE):
    config = settings.from_plain(plain)
    sources = identity.sources_of(config, choice=choice)
    return identity.identity(config, facts=facts, choice=choice, sources=sources)


def changed(plain, path, value):
    plain = copy.deepcopy(plain)
    *parents, key = path.split(".")
    section = plain
    for parent in parents:
        section = section[parent]
    section[key] = value
    return plain


def test_the_same_request_has_the_same_identity(plain_settings):
    first = identity_of(plain_settings)
    assert first == identity_of(copy.deepcopy(plain_settings))
    assert len(first) == 64
    assert int(first, 16) >= 0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("dataset.classes", [0, 1]),
        ("split.seed", 43),
        ("split.stratify", True),
        ("split.train_fraction", 0.5),
        ("training.augmentation", {"x": {"_target_": "keras.layers.RandomFlip"}}),
        ("architecture.l1", 0.1),
        ("optimizer.use_ema", True),
        ("architecture.units", [128, 1]),
        ("architecture.dropout", 0.1),
        ("architecture.batch_norm", True),
        ("optimizer._target_", "keras.optimizers.Adam"),
        ("optimizer.learning_rate", 0.002),
        ("optimizer.clipnorm", 1.0),
        ("loss.labels", "one_hot"),
        ("loss.function", {"_target_": "keras.losses.MeanSquaredError"}),
        ("training.epochs", 6),
        ("training.batch_size", 33),
        ("training.threads", 2),
        ("training.early_stopping.patience", 4),
        ("training.early_stopping", {}),
        ("training.schedule", {"_target_": "keras.optimizers.schedules.CosineDecay"}),
        ("training.callbacks", {"x": {"_target_": "keras.callbacks.ReduceLROnPlateau"}}),
        ("seed", 1),
    ],
)
def test_a_setting_that_decides_the_bits_changes_the_identity(plain_settings, path, value):
    assert identity_of(changed(plain_settings, path, value)) != identity_of(plain_settings)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "이름"),
        ("tags", {"question": "width"}),
        ("tracking.uri", "http://elsewhere"),
        ("tracking.experiment", "other"),
        ("tracking.reuse", False),
        ("tracking.parent", "abc"),
        ("tracking.pruning", {"metric": "val/accuracy", "bounds": [0.5]}),
        ("dataset.data_dir", "/elsewhere"),
        ("architecture.title", "제목"),
        # The choice stands for the setting it came from.
        ("training.engine", "compiled"),
        ("training.xla", True),
        ("training.memory_limit_mb", 1),
    ],
)
def test_a_setting_that_decides_nothing_leaves_the_identity(plain_settings, path, value):
    assert identity_of(changed(plain_settings, path, value)) == identity_of(plain_settings)


@pytest.mark.parametrize(
    "other",
    [
        {"facts": dataclasses.replace(FACTS, dataset_digest="other")},
        {"facts": dataclasses.replace(FACTS, split_digest="other")},
        {"facts": dataclasses.replace(FACTS, class_names=("a", "c"))},
        {"choice": EngineChoice("compiled", xla=False, reason="by rule")},
        {"choice": EngineChoice("fit", xla=False, reason="by rule")},
    ],
    ids=["data", "split", "class names", "xla", "engine"],
)
def test_data_split_and_engine_are_part_of_it(plain_settings, other):
    assert identity_of(plain_settings, **other) != identity_of(plain_settings)


def test_the_reason_for_the_engine_is_not_part_of_it(plain_settings):
    asked_for = EngineChoice("compiled", xla=True, reason="asked for")
    assert identity_of(plain_settings, choice=asked_for) == identity_of(plain_settings)


@pytest.mark.parametrize("library", ["tensorflow", "keras", "numpy"])
def test_the_versions_of_the_libraries_are_part_of_it(plain_settings, monkeypatch, library):
    before = identity_of(plain_settings)
    versions = identity.versions()
    assert library in versions
    monkeypatch.setattr(identity, "versions", lambda: versions | {library: "0.0"})
    assert identity_of(plain_settings) != before


def reversed_keys(node):
    if isinstance(node, dict):
        return {key: reversed_keys(node[key]) for key in reversed(node)}
    return node


def test_the_order_of_the_settings_does_not_matter(plain_settings):
    assert list(reversed_keys(plain_settings)) != list(plain_settings)
    assert identity_of(reversed_keys(plain_settings)) == identity_of(plain_settings)


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


@pytest.mark.parametrize(
    ("name", "value"),
    [("floatx", "float16"), ("epsilon", 1e-5), ("image_data_format", "channels_first")],
)
def test_the_global_settings_of_keras_are_part_of_it(plain_settings, monkeypatch, name, value):
    before = identity_of(plain_settings)
    told = identity.keras_settings()
    assert told == {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
    monkeypatch.setattr(identity, "keras_settings", lambda: told | {name: value})
    assert identity_of(plain_settings) != before


def test_the_settings_in_the_file_of_keras_are_read_before_keras_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    (tmp_path / "keras.json").write_text('{"floatx": "float16"}')
    assert identity.keras_settings()["floatx"] == "float16"
    (tmp_path / "keras.json").write_text("damaged")
    assert identity.keras_settings()["floatx"] == "float32"


# The memory of digests.


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
