"""The trading verdict: whether the paper account made money, and what that proves."""

from dataclasses import dataclass

from consilium.domain import InvalidValue

DOES_NOT_PAY, PAYS = "does not pay", "pays after costs"
LEAST_DEFLATED_SHARPE = 0.95
MOST_OVERFITTING = 0.2
MOST_CHANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingVerdict:
    """What may be said about the trades.

    Parameters
    ----------
    word
        ``does not pay``, or ``pays after costs`` where `trading_judgement` found all that it needs.
    text
        Plain sentences.
    """

    word: str
    text: str

    def as_dict(self) -> dict[str, str]:
        """Return plain JSON, under the names that the report uses."""
        return {"trading_word": self.word, "trading_text": self.text}


def trading_verdict(net_return: float, buy_and_hold: float | None, trades: int) -> TradingVerdict:
    """Say whether the account made money after costs, against doing nothing and against buy and hold.

    Parameters
    ----------
    net_return
        Final equity over initial equity - 1, after fees, spread and impact; >= -1.
    buy_and_hold
        The same for buying at the start and holding; None if unknown.
    trades
        Number of trades, >= 0.

    Raises
    ------
    InvalidValue
        A return below -1 or not a number, a negative number of trades.

    Examples
    --------
    >>> print(trading_verdict(-0.031, 0.12, 214).text)
    The paper account lost 3.1 % after costs in 214 trades; doing nothing would have lost nothing,
    buy and hold would have made 12.0 %.

    References
    ----------
    Bailey and Lopez de Prado (2014) for why one good backtest proves nothing.
    """
    for field, value in (("net_return", net_return), ("buy_and_hold", buy_and_hold)):
        if value is not None and not -1.0 <= value < float("inf"):
            raise InvalidValue(f"{field} must be finite and >= -1", value, "give a simple return")
    if trades < 0:
        raise InvalidValue("trades must be >= 0", trades, "count the trades")
    if trades == 0:
        text = "The paper account made no trade and kept its money, which is a valid result"
        return TradingVerdict(word=DOES_NOT_PAY, text=f"{text}{_against(buy_and_hold, '; ')}.")
    count = f"{trades:,} trade{'s' if trades > 1 else ''}"
    nothing = "lost" if net_return < 0.0 else "made"
    text = (
        f"The paper account {_moved(net_return)} after costs in {count}; "
        f"doing nothing would have {nothing} nothing{_against(buy_and_hold, ', ')}."
    )
    if net_return > 0.0:
        text += (
            " One profitable backtest proves nothing by itself: the deflated Sharpe ratio, the probability "
            "of overfitting and the permutation test were not run, so it is not shown to pay."
        )
    return TradingVerdict(word=DOES_NOT_PAY, text=text)


def trading_judgement(
    net_return: float,
    buy_and_hold: float | None,
    trades: int,
    *,
    deflated_sharpe: float | None,
    overfitting: float | None,
    permutation: float | None,
) -> TradingVerdict:
    """Say whether the account pays after costs: all of four conditions, or it does not.

    ``net return > 0``, ``deflated Sharpe > .95``, ``PBO < .2`` and ``permutation p < .05``. What could not be
    computed is not shown, so it counts as not met.

    Parameters
    ----------
    net_return, buy_and_hold, trades
        As in `trading_verdict`.
    deflated_sharpe
        Probability in [0, 1]; None below 30 days.
    overfitting
        Probability in [0, 1]; None with fewer than 10 trials.
    permutation
        p-value in [0, 1]; None where it was not run.

    Raises
    ------
    InvalidValue
        As in `trading_verdict`; a probability outside [0, 1].

    Examples
    --------
    >>> found = trading_judgement(0.2, 0.1, 90, deflated_sharpe=0.97, overfitting=0.4, permutation=0.01)
    >>> found.word
    'does not pay'
    >>> print(found.text)
    The paper account made 20.0 % after costs in 90 trades; doing nothing would have made nothing, buy and
    hold would have made 10.0 %. It is not shown to pay: the probability of overfitting is 0.400, not < 0.2.

    References
    ----------
    Bailey and Lopez de Prado (2014); Bailey, Borwein, Lopez de Prado and Zhu (2017).
    """
    tests = (
        _Condition("the deflated Sharpe ratio", deflated_sharpe, ">", LEAST_DEFLATED_SHARPE),
        _Condition("the probability of overfitting", overfitting, "<", MOST_OVERFITTING),
        _Condition("the permutation p-value", permutation, "<", MOST_CHANCE),
    )
    account = trading_verdict(net_return, buy_and_hold, trades)
    told = account.text.split(" One profitable backtest")[0]
    if trades == 0 or net_return <= 0.0:
        return TradingVerdict(word=DOES_NOT_PAY, text=told)
    missed = [test.told for test in tests if not test.met]
    if missed:
        return TradingVerdict(word=DOES_NOT_PAY, text=f"{told} It is not shown to pay: {'; '.join(missed)}.")
    shown = ", ".join(f"{test.name} is {test.value:.3f}" for test in tests)
    return TradingVerdict(word=PAYS, text=f"{told} It pays after costs: {shown}.")


@dataclass(frozen=True, slots=True)
class _Condition:
    """One figure and the bound that it has to keep."""

    name: str
    value: float | None
    sign: str
    bound: float

    def __post_init__(self) -> None:
        if self.value is not None and not 0.0 <= self.value <= 1.0:
            raise InvalidValue(f"{self.name} must lie in [0, 1]", self.value, "give a probability")

    @property
    def met(self) -> bool:
        if self.value is None:
            return False
        return self.value > self.bound if self.sign == ">" else self.value < self.bound

    @property
    def told(self) -> str:
        if self.value is None:
            return f"{self.name} could not be computed"
        return f"{self.name} is {self.value:.3f}, not {self.sign} {self.bound:g}"


def _moved(change: float, would: bool = False) -> str:
    if round(abs(change), 6) == 0.0:
        return "would have ended where it began" if would else "ended where it began"
    verb = "made" if change > 0.0 else "lost"
    return f"{'would have ' if would else ''}{verb} {_percent(abs(change))} %"


def _percent(change: float) -> str:
    return f"{100 * change:.1f}" if change >= 0.001 else f"{100 * change:.4f}"


def _against(buy_and_hold: float | None, joint: str) -> str:
    return "" if buy_and_hold is None else f"{joint}buy and hold {_moved(buy_and_hold, would=True)}"
