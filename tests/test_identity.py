"""What makes two runs the same, and the memory of the data's digests."""

import ast
import copy
import dataclasses
import json
from pathlib import Path

import pytest

from fitgap import identity
from fitgap.config import project, settings
from fitgap.data import datasets
from fitgap.identity import DataFacts
from fitgap.training.engines.choice import EngineChoice

FACTS = DataFacts(
    dataset_digest="d",
    split_digest="s",
    image_bytes=5,
    num_classes=10,
    image_shape=(28, 28),
    value_type="uint8",
    leakage="",
)
CHOICE = EngineChoice("compiled", xla=True, reason="by rule")
PACKAGE = Path(identity.__file__).parent


@pytest.fixture(scope="module")
def plain_settings(compose):
    stopping = "training/early_stopping=on"
    return settings.to_plain(compose("architecture=dense", stopping, "tags={a: 1, b: 2}"))


def identity_of(plain, *, facts=FACTS, choice=CHOICE):
    return identity.identity(settings.from_plain(plain), facts=facts, choice=choice)


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
        {"choice": EngineChoice("compiled", xla=False, reason="by rule")},
        {"choice": EngineChoice("fit", xla=False, reason="by rule")},
    ],
    ids=["data", "split", "xla", "engine"],
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


# The source.


def imports_of(module):
    """Return the package's modules that a module imports, wherever in it, but for types."""
    path = PACKAGE / f"{module}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fitgap"):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("fitgap")]
        else:
            continue
        paths = {name.removeprefix("fitgap").lstrip(".").replace(".", "/") for name in names}
        paths |= {f"{path}/__init__" for path in paths if path}
        imported |= {path for path in paths if path and has_code(PACKAGE / f"{path}.py")}
    return imported


def has_code(path):
    """Tell whether a module is there and more than a docstring."""
    return path.is_file() and len(ast.parse(path.read_text(encoding="utf-8")).body) > 1


def test_the_source_covers_all_that_its_modules_import():
    # Neither an error's text nor the place of a file changes a result.
    known = {*identity.RESULT_MODULES, "errors", "config/project", "heavy_imports"}
    missing = {
        f"{module} imports {imported}"
        for module in identity.RESULT_MODULES
        for imported in imports_of(module) - known
    }
    assert missing == set()


def test_the_import_check_sees_every_kind_of_import():
    of_identity = imports_of("identity")
    assert {
        "data/datasets",
        "data/splits",
        "config/settings",
        "training/engines/choice",
    } <= of_identity
    engines = {"training/engines/keras_fit", "training/engines/compiled"}
    assert engines <= imports_of("training/engines/choice")  # in a function
    assert "store/__init__" in imports_of("experiment")
    assert "training/loop" not in imports_of("training/progress")  # for types only


def test_the_source_covers_no_module_that_only_records_or_shows():
    shown = {"tracking", "store", "sweep", "comparison", "report", "commands"}
    assert not shown & {module.partition("/")[0] for module in identity.RESULT_MODULES}
    assert list(identity.RESULT_MODULES) == sorted(identity.RESULT_MODULES)


def test_any_change_of_the_source_changes_its_digest(tmp_path, monkeypatch):
    digest = identity.source_digest.__wrapped__  # computed now, not remembered
    before = digest()
    for module in identity.RESULT_MODULES:
        path = tmp_path / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((PACKAGE / f"{module}.py").read_bytes())
    monkeypatch.setattr(identity, "__file__", str(tmp_path / "identity.py"))
    assert digest() == before
    for module in identity.RESULT_MODULES:
        path = tmp_path / f"{module}.py"
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        assert digest() != before
        path.write_bytes(content)
    assert digest() == before


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
    assert [path.name for path in cache_file.parent.iterdir()] == ["digests.json"]


def test_another_split_is_another_entry(cache_file, digits):
    other = dataclasses.replace(digits, split=dataclasses.replace(digits.split, seed=1))
    first, second = identity.data_facts(digits), identity.data_facts(other)
    assert first.dataset_digest == second.dataset_digest
    assert first.split_digest != second.split_digest
    assert len(json.loads(cache_file.read_text())) == 2


def test_a_file_that_changed_is_read_again(loads, digits, monkeypatch):
    identity.data_facts(digits)
    monkeypatch.setattr(datasets, "fingerprint", lambda _config: "another time or size")
    identity.data_facts(digits)
    assert len(loads) == 2


def test_what_has_no_file_is_not_remembered_as_if_it_had(loads, digits, monkeypatch):
    monkeypatch.setattr(datasets, "fingerprint", lambda _config: None)
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
