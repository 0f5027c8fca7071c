"""How often the judge says what on worlds whose truth is known: its false findings and its power."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.controls import (
    BARS,
    LARGE,
    PLANTED,
    SHIFTED,
    SYMBOLS,
    World,
    garch,
    planted,
    random_walk,
    run_control,
    shifted,
)
from consilium.domain.wording import counted
from consilium.training.judge import Rate, rejection_rate
from consilium.training.judge.comparison import BETTER, WORSE
from consilium.training.judge.verdict import CLIMATOLOGY
from consilium.training.workers import spread

FEATURES = "core14"
"""The controls of the table read 14 features: 200 worlds of each kind must end in an hour."""


def _shifted(seed: int) -> World:
    return shifted(planted(PLANTED[-1], seed).panel)


WORLDS: dict[str, Callable[[int], World]] = {
    "random walk": random_walk,
    "GARCH without signal": garch,
    SHIFTED: _shifted,
    **{f"planted signal, IC {ic:g}": partial(planted, ic) for ic in PLANTED},
}


LARGER: dict[str, Callable[[int], World]] = {
    "random walk, larger": partial(random_walk, size=LARGE),
    "GARCH without signal, larger": partial(garch, size=LARGE),
    **{f"planted signal, IC {ic:g}, larger": partial(planted, ic, size=LARGE) for ic in PLANTED},
}
"""Worlds in which a signal of a market's strength can be seen; each takes six times as long."""


def size_of(kind: str) -> str:
    """Name the size of a kind of world."""
    symbols, bars = LARGE if kind in LARGER else (SYMBOLS, BARS)
    return f"{counted(symbols, 'symbol')} x {counted(bars, 'hour')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was said about one world: the verdict, the comparison with climatology, and which way."""

    verdict: str
    climatology: str
    mirrored: str


def watch(request: BacktestRequest, kind: str, seed: int) -> Seen:
    """Judge one world of a kind.

    Raises
    ------
    KeyError
        No such kind.
    """
    result = run_control(request, (WORLDS | LARGER)[kind](seed), FEATURES)
    verdict = result.examination.primary.verdict
    return Seen(
        verdict=verdict.word,
        climatology=verdict.comparisons[CLIMATOLOGY].word,
        mirrored=result.mirrored.word,
    )


def rates(request: BacktestRequest, kind: str, seeds: Sequence[int], *, jobs: int = 1) -> dict[str, Rate]:
    """Count, over many worlds of a kind, how often each of three statements was made.

    Parameters
    ----------
    request
        The pool and the ensemble that are judged.
    kind
        One of WORLDS or LARGER.
    seeds
        Of the worlds; at least one.
    jobs
        Processes, >= 1.

    Returns
    -------
    ``verdict``: the whole verdict is ``better``; ``climatology``: better than climatology; ``rejected``: the
    consensus differs from its own mirror image, either way, which without signal is the size of the test;
    ``direction``: it is better than its mirror image.
    """
    seen = list(spread([partial(watch, request, kind, seed) for seed in seeds], jobs, ordered=True))
    said = dict(zip(seeds, seen, strict=True))

    def rate(word_of: Callable[[Seen], str], words: Sequence[str]) -> Rate:
        return rejection_rate(lambda seed, _: word_of(said[seed]), seeds, words=words)

    return {
        "verdict": rate(lambda one: one.verdict, [BETTER]),
        "climatology": rate(lambda one: one.climatology, [BETTER]),
        "rejected": rate(lambda one: one.mirrored, [BETTER, WORSE]),
        "direction": rate(lambda one: one.mirrored, [BETTER]),
    }


def plain_rate(rate: Rate) -> dict[str, Any]:
    """Return a rate as plain JSON."""
    return {"hits": rate.hits, "runs": rate.runs, "low": rate.low, "high": rate.high}
