"""Identities of settings, with facts on data and a choice of the engine made by hand."""

import copy

from fitgap import identity
from fitgap.config import settings
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
