"""A trust policy that notes what it is told, in order; entered as a package outside would enter one."""

from collections.abc import Sequence

from consilium.domain import Consensus, Outcome, Prediction
from consilium.ensemble.trust.uniform import Uniform

NOTES: list[tuple[str, int]] = []
"""``("said", ts_event)`` of each consensus and ``("learned", ts_matured)`` of each outcome, as they came."""


class Watcher(Uniform):
    """Weighs all alike and writes NOTES."""

    name = "watcher"

    def learn(
        self,
        predictions: Sequence[Prediction],
        outcome: Outcome | Sequence[Outcome] | None = None,
        consensus: Consensus | None = None,
    ) -> None:
        """Note the time of what is learned."""
        del predictions
        if consensus is not None:
            NOTES.append(("said", consensus.ts_event))
        if outcome is not None:
            told = [outcome] if isinstance(outcome, Outcome) else outcome
            NOTES.extend(("learned", o.ts_matured) for o in told)
