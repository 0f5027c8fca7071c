"""Trust for each regime of the market, with the unconditional weights until a regime has shown enough."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from consilium.domain import Consensus, InvalidValue, Outcome, Prediction
from consilium.ensemble.trust import TrustPolicy
from consilium.ensemble.trust.roll import check_state

TERCILES = ("calm", "usual", "wild")


class PerRegime:
    """One policy for all rounds and one for each regime; a regime's speaks once it has learned enough.

    Parameters
    ----------
    make
        Makes a fresh policy.
    min_rounds
        Rounds of a regime before its own weights are used, >= 1, default 100.

    Raises
    ------
    InvalidValue
        ``min_rounds`` below 1; a state of another policy or of other models.

    Examples
    --------
    >>> from consilium.ensemble.trust import make_trust
    >>> policy = PerRegime(lambda: make_trust("fixed_share", ["a", "b"]))
    >>> policy.weights(["a", "b"], regime="wild")
    {'a': 0.5, 'b': 0.5}
    """

    name = "per_regime"

    def __init__(self, make: Callable[[], TrustPolicy], *, min_rounds: int = 100) -> None:
        if min_rounds < 1:
            raise InvalidValue("min_rounds must be >= 1", min_rounds, "use 100")
        self._make = make
        self._min_rounds = min_rounds
        self._all = make()
        self._of: dict[str, TrustPolicy] = {}
        self._rounds: dict[str, tuple[int, int]] = {}
        self._prior: Mapping[str, float] | None = None
        self.models = self._all.models
        self.takes_prior = self._all.takes_prior
        self.reads_consensus = self._all.reads_consensus

    def set_prior(self, prior: Mapping[str, float] | None) -> None:
        """Replace the prior of every policy."""
        self._prior = prior
        for policy in (self._all, *self._of.values()):
            policy.set_prior(prior)

    def weights(self, awake: Collection[str], regime: str = "") -> dict[str, float]:
        """Return the weights of a regime, or the unconditional ones if it is unknown or new."""
        _, rounds = self._rounds.get(regime, (-1, 0))
        return (self._of[regime] if rounds >= self._min_rounds else self._all).weights(awake)

    def factors(self) -> dict[str, float]:
        """Return the unconditional trust."""
        return self._all.factors()

    def learn(
        self,
        predictions: Sequence[Prediction],
        outcome: Outcome | Sequence[Outcome] | None = None,
        consensus: Consensus | None = None,
        regimes: Mapping[str, str] | None = None,
    ) -> None:
        """Teach the unconditional policy, and that of each symbol's regime (``regimes``: label by symbol)."""
        self._all.learn(predictions, outcome=outcome, consensus=consensus)
        for regime in sorted({label for label in (regimes or {}).values() if label}):
            symbols = {symbol for symbol, label in (regimes or {}).items() if label == regime}
            said = [p for p in predictions if p.symbol in symbols]
            if consensus is not None and consensus.symbol in symbols:
                self._policy(regime).learn(said, consensus=consensus)
            if outcome is not None:
                all_came = [outcome] if isinstance(outcome, Outcome) else outcome
                came = [o for o in all_came if o.symbol in symbols]
                if said and came:
                    self._policy(regime).learn(said, outcome=came)
                    self._count(regime, max(o.ts_event for o in came))

    def _policy(self, regime: str) -> TrustPolicy:
        if regime not in self._of:
            self._of[regime] = self._make()
            if self._prior is not None:
                self._of[regime].set_prior(self._prior)
        return self._of[regime]

    def _count(self, regime: str, ts_event: int) -> None:
        last, rounds = self._rounds.get(regime, (-1, 0))
        if ts_event > last:
            self._rounds[regime] = (ts_event, rounds + 1)

    def state(self) -> dict[str, Any]:
        """Return the state of every policy."""
        return {
            "policy": self.name,
            "models": list(self.models),
            "all": self._all.state(),
            "of": {regime: policy.state() for regime, policy in sorted(self._of.items())},
            "rounds": {regime: list(counted) for regime, counted in sorted(self._rounds.items())},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned."""
        refused = check_state(state, self.name, self.models)
        try:
            everything = self._make()
            everything.restore(state["all"])
            of = {}
            for regime, saved in state["of"].items():
                of[regime] = self._make()
                of[regime].restore(saved)
            rounds = {regime: (int(last), int(count)) for regime, (last, count) in state["rounds"].items()}
        except InvalidValue:
            raise
        except (KeyError, TypeError, ValueError, AttributeError):
            raise refused from None
        self._all, self._of, self._rounds = everything, of, rounds


class Terciles:
    """Names the tercile of a symbol's volatility among its own past: calm, usual or wild.

    Parameters
    ----------
    window
        Values remembered for each symbol, >= least, default 500.
    least
        Values before a label is given, >= 3, default 60.

    Examples
    --------
    >>> terciles = Terciles(least=3)
    >>> [terciles.label("BTCUSDT", v) for v in (0.01, 0.02, 0.03, 0.04, 0.005)]
    ['', '', '', 'wild', 'calm']
    """

    def __init__(self, *, window: int = 500, least: int = 60) -> None:
        if not 3 <= least <= window:
            raise InvalidValue("3 <= least <= window", f"{least} and {window}", "use 60 and 500")
        self._window, self._least = window, least
        self._past: dict[str, tuple[deque[float], list[float]]] = {}

    def label(self, symbol: str, volatility: float) -> str:
        """Label a value by those before it, then remember it; empty while too few are known."""
        times, ordered = self._past.setdefault(symbol, (deque(), []))
        n = len(ordered)
        named = ""
        if n >= self._least:
            # The middle of its equals, so that a market that stands still is usual.
            rank = (bisect_left(ordered, volatility) + bisect_right(ordered, volatility)) / 2
            named = TERCILES[min(2, int(3 * rank / n))]
        times.append(volatility)
        insort(ordered, volatility)
        if n >= self._window:
            del ordered[bisect_left(ordered, times.popleft())]
        return named

    def state(self) -> dict[str, list[float]]:
        """Return the values remembered, in order of time."""
        return {symbol: list(times) for symbol, (times, _) in sorted(self._past.items())}

    def restore(self, state: Mapping[str, Sequence[float]]) -> None:
        """Take up a state that ``state`` returned."""
        self._past = {symbol: (deque(values), sorted(values)) for symbol, values in state.items()}
