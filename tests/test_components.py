"""Which modules decide a run's identity. A change here trains every recorded experiment again.

A module that joins a list by an import that merely prints, locks or names something belongs into
`_DECIDE_NOTHING` instead; one that decides bits or meaning is added here, and to the CHANGELOG.
"""

import pytest

from fitgap.components import components_of, modules_behind
from fitgap.training.engines.choice import EngineChoice

NETWORK = {
    "config.options",
    "config.tasks",
    "models.build",
    "models.embeddings",
    "models.network",
    "models.scaling",
    "models.whole_models",
}
DATA = {
    "data.datasets",
    "data.disk_arrays",
    "data.held_out",
    "data.labels",
    "data.parts",
    "data.target_values",
}
FIT = NETWORK | {
    "evaluation.scores",
    "training.engines.keras_fit",
    "training.engines.keras_state",
}


def modules_of(config, *, engine="compiled"):
    found = components_of(config, choice=EngineChoice(engine, xla=False, reason=""))
    return {
        name: {module.removeprefix("fitgap.") for module in modules_behind(*roots)}
        for name, roots in found.items()
    }


def test_an_experiment_on_images_follows_these_modules(compose):
    assert modules_of(compose("architecture=dense")) == {
        "loop": NETWORK
        | {
            "evaluation.metrics",
            "evaluation.scores",
            "training.backend",
            "training.callback_state",
            "training.checkpoints",
            "training.class_weights",
            "training.data",
            "training.loop",
            "trust.archives",
        },
        "network": NETWORK | {"models", "models.architectures"},
        "engine": FIT | {"training.engines.compiled"},
        "reader": DATA | {"data.cifar", "data.published"},
        "split": DATA | {"data.splits"},
    }


def test_a_table_adds_its_reader_and_its_preprocessing(compose):
    table = compose("dataset=table", "dataset.path=a.csv", "dataset.label=y")
    found = modules_of(table)
    assert found["reader"] == DATA | {
        "data.encodings",
        "data.regular_files",
        "data.rows",
        "data.table",
        "data.table_columns",
        "data.table_file",
        "data.table_format",
        "data.times",
        "data.zip_bombs",
    }
    assert found["preprocessing"] == DATA | {
        "data.preprocessing",
        "data.rows",
        "data.splits",
        "models.row_layers",
    }


@pytest.mark.parametrize(
    ("engine", "modules"),
    [
        ("fit", FIT),
        (
            "numpy",
            {
                "config.options",
                "config.tasks",
                "evaluation.scores",
                "reference.activations",
                "reference.arrays",
                "reference.batches",
                "reference.layers",
                "reference.losses",
                "reference.network",
                "reference.optimizers",
                "training.engines",
                "training.engines.numpy_reference",
                "training.engines.reference_settings",
            },
        ),
    ],
)
def test_an_engine_follows_only_its_own_modules(compose, engine, modules):
    assert modules_of(compose(), engine=engine)["engine"] == modules
