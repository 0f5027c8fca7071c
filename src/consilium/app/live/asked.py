"""What may be asked of the living system by any thread."""

from typing import Any

from consilium.app.live import views
from consilium.app.live.engine import EnsembleEngine
from consilium.app.live.feeds import LiveFeed
from consilium.app.live.pipeline import Pipeline
from consilium.bus.journal import Journal
from consilium.bus.state_store import StateStore
from consilium.bus.transport import Transport


class Asked:
    """The questions of the API, answered from the pipeline and the journal."""

    journal: Journal
    store: StateStore
    transport: Transport
    engine: EnsembleEngine
    feed: LiveFeed
    pipeline: Pipeline
    troubles: dict[str, str]
    differing: int
    account: dict[str, Any]

    def health(self) -> dict[str, Any]:
        """Return the body of /health."""
        return views.health(self)

    def ready(self) -> dict[str, str]:
        """Return by part: nothing if it is ready, ``warn: ...``, or why not."""
        return views.ready(self)

    def market_status(self) -> dict[str, Any]:
        """Return what is followed, and how far."""
        return views.market_status(self)

    def candles(self, symbol: str, limit: int) -> list[dict[str, Any]]:
        """Return the newest candles of a symbol, oldest first.

        Raises
        ------
        UnknownName
            It is not followed.
        """
        return views.candles(self.pipeline, symbol, limit)

    def consensus_history(self, symbol: str | None, after: int, limit: int) -> list[dict[str, Any]]:
        """Return consensuses after a place of the journal, in order."""
        return views.history(self.journal, views.CONSENSUS_REACHED, symbol, after, limit)

    def predictions(self, symbol: str | None, after: int, limit: int) -> list[dict[str, Any]]:
        """Return predictions after a place of the journal, in order."""
        return views.history(self.journal, views.PREDICTED, symbol, after, limit)

    def trading_status(self) -> dict[str, Any]:
        """Return the account and its positions, as they stood when the newest step was done."""
        return self.account
