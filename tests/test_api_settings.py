"""Settings of ``fitgap.Study.run``: the words of a command, checked like them."""

from functools import partial

import keras
import numpy as np
import pytest

from fitgap.api import hydra_language
from fitgap.errors import RequestError


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"optimizer": "adam", "seed": 3}, ["optimizer=adam", "seed=3"]),
        ({"epochs": 2, "batch_size": 8}, ["training.epochs=2", "training.batch_size=8"]),
        ({"learning_rate": 1e-3}, ["++optimizer.learning_rate=0.001"]),
        ({"split": {"stratify": True}}, ["split.stratify=true"]),
        ({"split": {"name": "kfold", "folds": 3}}, ["split=kfold", "split.folds=3"]),
        ({"training": {"schedule": "cosine"}}, ["training/schedule=cosine"]),
        ({"training": {"xla": None}}, ["training.xla=null"]),
        ({"name": "two, words"}, ["name='two, words'"]),
        ({"name": "it's 3"}, ["name='it\\'s 3'"]),
        ({"name": "null"}, ["name='null'"]),
        ({"name": "실험"}, ["name='실험'"]),
        ({"tags": {"question": "width"}}, ["++tags={question:width}"]),
        ({"metrics": ["accuracy", "f1_macro"]}, ["metrics=[accuracy,f1_macro]"]),
        ({"seed": np.int64(4)}, ["seed=4"]),
        ({"training": {"class_weight": {0: 1, 1: 2}}}, ["++training.class_weight={0:1,1:2}"]),
        (
            {"training": {"callbacks": {"nan": {"_target_": "a.B"}}}},
            ["++training.callbacks={nan:{_target_:'a.B'}}"],
        ),
    ],
)
def test_settings_become_the_words_of_a_command(settings, expected):
    assert hydra_language.overrides(settings, sweeps=False) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"seed": range(3)}, ["seed=0,1,2"]),
        ({"optimizer": ["adam", "sgd"]}, ["optimizer=adam,sgd"]),
        ({"optimizer": "adam"}, ["optimizer=adam"]),
        ({"epochs": (n for n in (1, 2))}, ["training.epochs=1,2"]),
        ({"metrics": ("accuracy", "f1_macro")}, ["metrics=[accuracy,f1_macro]"]),
        ({"training": {"batch_size": [8, 16]}}, ["training.batch_size=8,16"]),
    ],
)
def test_of_a_sweep_a_list_is_a_choice_and_a_tuple_a_value(settings, expected):
    assert hydra_language.overrides(settings, sweeps=True) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optimiser": "adam"}, "optimiser: there is no such setting; did you mean optimizer"),
        ({"optimizer": "adamm"}, "optimizer=adamm: there is no such option; did you mean adam"),
        ({"split": {"stratif": True}}, "split.stratif: there is no such setting"),
        ({"epochs": 0}, "training.epochs"),
        ({"architecture": 3}, "architecture must be an option's name or a function, got int"),
        ({"architecture": partial(len, 1)}, "may bind arguments by name only"),
        ({"dataset": "mnist"}, r"dataset is the study's: Study\(data="),
        ({"seed": object()}, "seed must be a number, text"),
        ({"overrides": "seed=1"}, "overrides must be a list"),
        ({"overrides": ["sed=1"]}, "sed: there is no such"),
        (
            {"training": {"class_weight": {"<b>": 2}}},
            r"training\.class_weight: '<b>' cannot be a key here; for a class, give its number",
        ),
        ({"overrides": [3]}, r"overrides must be a list of text, got \[3\]"),
        ({"optimizer": ["sgd", "adam"]}, r"optimizer takes one option, got .* Study\.sweep"),
        ({"architecture": [dir, len]}, "architecture takes one option"),
        ({"architecture": keras.layers.Flatten()}, "a Flatten that is already built"),
        ({"optimizer": "sgd", "overrides": ["optimizer=adam"]}, "optimizer is given twice"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_setting_is_refused_in_a_line_or_two_and_nothing_is_recorded(study, given, said):
    with pytest.raises(RequestError, match=said) as caught:
        study.run(**given)
    assert len(str(caught.value).splitlines()) <= 2
    assert study.runs() == []


def test_options_that_stand_for_functions_are_not_offered(study):
    for given in (len, "lenn"):
        with pytest.raises(RequestError) as caught:
            study.run(architecture=given)
    assert "lenn: there is no such option" in str(caught.value)
    assert "len_" not in str(caught.value)
