"""What our own models forecast, which signals from outside take too: symbol, label and horizon."""

from collections.abc import Sequence
from dataclasses import dataclass

from consilium.app.settings import Settings
from consilium.domain import SECOND_NS
from consilium.training.labels import LabelSpec

OUTSIDE_LABEL = "outside"
"""Label of signals where no model of our own has one."""

FEWEST_ROUNDS = 4_096
"""Rounds that are kept for their outcome in any case."""

SPARE_BARS = 4
"""Bars beyond the horizon by which an outcome may come late: a gap delays it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The main topic of an ensemble, and how many rounds wait for their outcome at most.

    Parameters
    ----------
    symbol, horizon_ns
        Of signals that name none.
    label_id
        Of every signal.
    rounds
        All symbols over the horizon, and as many again.
    """

    symbol: str
    horizon_ns: int
    label_id: str = OUTSIDE_LABEL
    rounds: int = FEWEST_ROUNDS


def question_of(
    settings: Settings, symbols: Sequence[str] = (), interval_ns: int = 0, spec: LabelSpec | None = None
) -> Question:
    """Return what the models of a feed are asked.

    Parameters
    ----------
    settings
        Section ``engine`` where there is no feed, and its symbol in any case.
    symbols, interval_ns
        Of the feed; none without one.
    spec
        Label of the models; that of the settings without models.

    Examples
    --------
    >>> question_of(Settings())
    Question(symbol='BTCUSDT', horizon_ns=3600000000000, label_id='outside', rounds=4096)
    >>> question_of(Settings(), ["AAA"], 60 * 10**9, LabelSpec(horizon=2)).horizon_ns
    120000000000
    """
    known = (settings.engine.symbol, *symbols, *settings.live.symbols, "BTCUSDT")
    symbol = next(name for name in known if name)
    if not interval_ns:
        return Question(symbol=symbol, horizon_ns=round(settings.engine.horizon_s * SECOND_NS))
    spec = spec or LabelSpec(horizon=settings.training.horizon)
    return Question(
        symbol=symbol,
        horizon_ns=spec.horizon * interval_ns,
        label_id=spec.label_id(interval_ns),
        rounds=max(FEWEST_ROUNDS, 2 * len(symbols) * (spec.horizon + SPARE_BARS)),
    )
