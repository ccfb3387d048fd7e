"""Hydra's sweep syntax, read as a space to search."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fitgap.errors import RequestError
from fitgap.search.space import parse

distributions = pytest.importorskip("optuna.distributions", reason="Optuna is an extra")
CategoricalDistribution = distributions.CategoricalDistribution
FloatDistribution = distributions.FloatDistribution
IntDistribution = distributions.IntDistribution


def space_of(*overrides):
    return parse(OverridesParser.create().parse_overrides(list(overrides)))


@pytest.mark.parametrize(
    ("override", "distribution", "proposed", "expected"),
    [
        ("a=1,b", CategoricalDistribution(("1", "b")), "b", "a=b"),
        ("a=choice([8],[8,4])", CategoricalDistribution(("[8]", "[8,4]")), "[8,4]", "a=[8,4]"),
        ("a=shuffle(x,y)", None, "x", "a=x"),
        ("+a='x y',z", CategoricalDistribution(("'x y'", "z")), "'x y'", "+a='x y'"),
        ("a=interval(0, 1)", FloatDistribution(0, 1), 0.25, "a=0.25"),
        ("a=interval(1e-6, 1)", FloatDistribution(1e-6, 1), 1e-5, "a=1e-05"),
        ("a=tag(log, interval(1e-4, 0.1))", FloatDistribution(1e-4, 0.1, log=True), 0.01, "a=0.01"),
        ("a=int(interval(1, 8))", IntDistribution(1, 8), 8, "a=8"),
        ("a=tag(log, int(interval(4, 64)))", IntDistribution(4, 64, log=True), 5, "a=5"),
        ("a=range(1, 8)", IntDistribution(1, 7), 7, "a=7"),
        ("a=range(8, 0, -2)", IntDistribution(2, 8, step=2), 6, "a=6"),
        # Thrice a step of 0.1 is 0.30000000000000004 in binary.
        ("a=range(0, 0.35, 0.1)", FloatDistribution(0, 0.3, step=0.1), 3 * 0.1, "a=0.3"),
        ("a=tag(log, range(1, 100))", IntDistribution(1, 99, log=True), 10, "a=10"),
    ],
)
def test_a_sweep_is_a_distribution_and_a_proposal_an_override(
    override, distribution, proposed, expected
):
    fixed, (dimension,) = space_of("c=5", override)
    assert fixed == ["c=5"]
    assert dimension.name == "a"
    if distribution is not None:
        assert dimension.distribution() == distribution
    assert dimension.override(proposed) == expected


def test_of_two_overrides_of_one_setting_the_later_counts():
    fixed, space = space_of("a=1,2", "b=interval(0,1)", "a=7", "b=x,y")
    assert fixed == ["a=7"]
    assert [dimension.options for dimension in space] == [("x", "y")]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("a=1", "nothing to search"),
        ("seed=0,1", "seed: a search cannot vary it"),
        ("split.seed=0,1", "split.seed: a search cannot vary it"),
        ("dataset=digits,mnist", "dataset: a search cannot vary it"),
        ("a=interval(1, 1)", "must go from a number up to a larger one"),
        ("a=tag(log, interval(0, 1))", "must start above 0"),
        ("a=tag(log, choice(1, 2))", "not for a choice"),
        ("a=tag(log, range(1, 9, 2))", "whole numbers from 1 in steps of 1"),
        ("a=1,1", "must be different values"),
    ],
)
def test_what_cannot_be_searched_is_a_wrong_request(override, message):
    with pytest.raises(RequestError, match=message):
        space_of(override)
