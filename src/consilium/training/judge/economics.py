"""The trading verdict: whether the paper account made money, and what that proves."""

from dataclasses import dataclass

from consilium.domain import InvalidValue

DOES_NOT_PAY = "does not pay"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingVerdict:
    """What may be said about the trades.

    Parameters
    ----------
    word
        ``does not pay``. The other word, ``pays after costs``, needs a deflated Sharpe ratio above .95, a
        probability of overfitting below .2 and a permutation p-value below .05; none of them is run here, so
        it is never given.
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


def _moved(change: float, would: bool = False) -> str:
    if round(abs(change), 6) == 0.0:
        return "would have ended where it began" if would else "ended where it began"
    verb = "made" if change > 0.0 else "lost"
    return f"{'would have ' if would else ''}{verb} {_percent(abs(change))} %"


def _percent(change: float) -> str:
    return f"{100 * change:.1f}" if change >= 0.001 else f"{100 * change:.4f}"


def _against(buy_and_hold: float | None, joint: str) -> str:
    return "" if buy_and_hold is None else f"{joint}buy and hold {_moved(buy_and_hold, would=True)}"
