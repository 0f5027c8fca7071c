"""The account of a consensus in one line, in the words of the outside."""

from collections.abc import Iterable

from consilium.domain import Consensus, Direction, Prediction, short_model

_WORDS = {Direction.DOWN: "SELL", Direction.FLAT: "HOLD", Direction.UP: "BUY"}


def action(consensus: Consensus) -> str:
    """Return BUY if UP and actionable, SELL if DOWN and actionable, else HOLD.

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction
    >>> from consilium.ensemble import reach_consensus
    >>> spoken = [Prediction(model=m, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l1",
    ...                      probabilities=(0.1, 0.1, 0.8)) for m in ("xgboost", "lightgbm")]
    >>> action(reach_consensus(spoken)), action(reach_consensus(spoken[:1]))
    ('BUY', 'HOLD')
    """
    return _WORDS[consensus.direction] if consensus.actionable else "HOLD"


def account(
    consensus: Consensus, predictions: Iterable[Prediction], *, volatility: float | None = None
) -> str:
    """Tell in one line who said what, how far they agreed, and what each gate found.

    ``level | model:WORD confidence, ... | vol:v | FINAL:action score agreement support | gate:verdict, ...``;
    a model without a vote is marked ``(no vote)``.

    Parameters
    ----------
    consensus
        What came out.
    predictions
        What went in, in the order to print them.
    volatility
        Daily volatility that the gate saw; ``vol:unknown`` if None.

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction
    >>> from consilium.ensemble import reach_consensus
    >>> spoken = [Prediction(model=m, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l1",
    ...                      probabilities=(0.1, 0.1, 0.8)) for m in ("xgboost", "lightgbm")]
    >>> print(account(reach_consensus(spoken, volatility=0.03), spoken, volatility=0.03).split(" | gates")[0])
    unanimous | xgb:BUY 80%, lgbm:BUY 80% | vol:3.00% | FINAL:BUY 95% agreement 100% support 100%

    References
    ----------
    Seed 002, 4.4.
    """
    said = ", ".join(
        f"{short_model(p.model)}:{_WORDS[p.direction]} {p.confidence:.0%}"
        + ("" if p.model in consensus.weights else " (no vote)")
        for p in predictions
    )
    seen = "unknown" if volatility is None else f"{volatility:.2%}"
    gates = ", ".join(f"{name} {verdict}" for name, verdict in consensus.gates.items())
    return (
        f"{consensus.level} | {said} | vol:{seen} | FINAL:{action(consensus)} {consensus.score:.0%} "
        f"agreement {consensus.agreement:.0%} support {consensus.support:.0%} | gates: {gates}"
    )
