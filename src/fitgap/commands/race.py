"""``fitgap race``: train replicates of candidates until the best is decided."""

import click

from fitgap.commands import completion, options


@click.command("race", context_settings={"ignore_unknown_options": True})
@click.argument(
    "words", nargs=-1, required=True, shell_complete=completion.words, metavar="OVERRIDE..."
)
@options.margin
@click.option(
    "--budget",
    type=int,
    default=60,
    show_default=True,
    metavar="RUNS",
    help="Largest number of runs, including those recorded before.",
)
@click.option(
    "--alpha",
    type=float,
    default=0.05,
    show_default=True,
    metavar="P",
    help="Largest probability of a false verdict.",
)
def command(*, words: tuple[str, ...], margin: float | None, budget: int, alpha: float) -> None:
    """Train candidates until the best of them is decided.

    Each OVERRIDE is one of `fitgap train -m`: optimizer=sgd,adam makes two candidates. Each round
    trains the candidates with another split and seed; one that is shown to be worse than the best
    drops out, and one that is within the margin of all others rests. The same command continues
    a race that was stopped.
    """
    from fitgap.commands import train

    margins = [] if margin is None else [f"hydra.sweeper.margin={margin}"]
    train.train(
        [
            "-m",
            "hydra/sweeper=race",
            *options.on_all_cores(words),
            *words,
            f"hydra.sweeper.budget={budget}",
            f"hydra.sweeper.alpha={alpha}",
            *margins,
        ]
    )
