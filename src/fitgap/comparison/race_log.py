"""The log of a race: which values came in which round, kept beside the database.

Standings, intervals and words follow from it: the race is run again on the recorded values.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from fitgap.comparison.race import MOST_ROUNDS, Race, Rule, Standing
from fitgap.config import program, state_files
from fitgap.errors import RequestError
from fitgap.training import checkpoints
from fitgap.trust.text import line

_OF_ANOTHER_FORM = (
    ArithmeticError, ValueError, TypeError, KeyError, AttributeError, RecursionError,
)  # fmt: skip
_MOST_BYTES = 10_000_000
_MOST_CANDIDATES = 2_000  # each is compared with each, in each round
_LARGEST = 1e100  # of any figure: the squares of larger ones are no floats


@dataclass(frozen=True, slots=True)
class Round:
    """One round.

    Attributes
    ----------
    values
        The metric of each candidate that was still racing, by its number; NaN of one that failed.
    overlap
        Validation images over training images, where rounds are splits; else 0.
    """

    values: dict[int, float]
    overlap: float


@dataclass(frozen=True, slots=True)
class Log:
    """The rule of a race, and the values of its rounds.

    Attributes
    ----------
    names
        Of the candidates: the overrides in which they differ.
    metric
        The metric by which they are compared.
    covers
        `fitgap.comparison.estimates.SPLITS`: images like these; ``SEEDS``: these images.
    rule
        By what it is decided.
    rounds
        That ran to their end; not every candidate runs in each.
    """

    names: tuple[str, ...]
    metric: str
    covers: str
    rule: Rule
    rounds: tuple[Round, ...]

    @property
    def runs(self) -> int:
        """How many runs the rounds took."""
        return sum(len(one.values) for one in self.rounds)

    @property
    def word(self) -> str:
        """What was decided; see `fitgap.comparison.race.Race.word`."""
        return self._run_again().word

    @property
    def standings(self) -> list[Standing]:
        """Those still racing, the best first, then those that are out."""
        return self._run_again().standings()

    def by_round(self) -> list[list[Standing]]:
        """Return the standings after each round."""
        race, standings = Race(self.rule), []
        for one in self.rounds:
            race.add_round(one.values, overlap=one.overlap)
            standings.append(race.standings())
        return standings

    def _run_again(self) -> Race:
        race = Race(self.rule)
        for one in self.rounds:
            race.add_round(one.values, overlap=one.overlap)
        return race


def write(log: Log, *, uri: str, experiment: str) -> None:
    """Write the log of an experiment's newest race, which replaces the earlier one."""
    state_files.replace(_path(uri, experiment), json.dumps(asdict(log)))


def read(*, uri: str, experiment: str) -> Log:
    """Return the log of an experiment's newest race on this machine.

    Raises
    ------
    RequestError
        If there was none, or it cannot be read.
    """
    try:
        found = json.loads(_content(_path(uri, experiment)))
        rounds = tuple(
            _round(one["values"], overlap=float(one["overlap"]), candidates=len(found["names"]))
            for one in found["rounds"]
        )
        names = tuple(line(str(name)) for name in found["names"])
        given = found["rule"]
        rule = Rule(
            candidates=len(names),
            margin=float(given["margin"]),
            alpha=float(given["alpha"]),
            higher_is_better=bool(given["higher_is_better"]),
        )
        if not 0 < rule.alpha < 1 or not 0 <= rule.margin < _LARGEST:
            raise ValueError("an impossible rule")
        if len(rounds) > MOST_ROUNDS or len(names) > _MOST_CANDIDATES:
            raise ValueError("too many rounds or candidates")
        return Log(names, line(str(found["metric"])), str(found["covers"]), rule, rounds)
    except FileNotFoundError:
        raise RequestError(
            f"experiment {experiment!r} had no race on this machine; make one with: "
            f"{program.name()} race optimizer=sgd,adam"
        ) from None
    except (OSError, *_OF_ANOTHER_FORM) as error:
        reason = line(str(error), most=200)
        raise RequestError(f"the log of the race cannot be read: {reason}") from error


def _round(values: dict[str, float], *, overlap: float, candidates: int) -> Round:
    by_candidate = {int(key): float(value) for key, value in values.items()}
    if not by_candidate.keys() <= set(range(candidates)) or not 0 <= overlap < _LARGEST:
        raise ValueError("a round of other candidates, or with an impossible overlap")
    if any(math.isfinite(value) and abs(value) > _LARGEST for value in by_candidate.values()):
        raise ValueError("an impossible value")
    return Round(by_candidate, overlap)


def _content(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ValueError("it is not a regular file")
    with path.open(encoding="utf-8") as file:
        content = file.read(_MOST_BYTES)
        if file.read(1):
            raise ValueError(f"it is longer than {_MOST_BYTES // 10**6} MB")
    return content


def _path(uri: str, experiment: str) -> Path:
    beside = checkpoints.path_for("", uri=uri, experiment=experiment)
    return beside.parent.with_name("races") / f"{beside.name.strip('-')}.json"
