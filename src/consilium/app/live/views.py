"""What is told of the living system: plain JSON for the API, and events that outside systems publish."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from consilium import __version__
from consilium.app.live.engine import EnsembleEngine
from consilium.app.live.feeds import LiveFeed
from consilium.app.live.members import foreseeing
from consilium.app.live.pipeline import Pipeline
from consilium.app.live.records import CONSENSUS_REACHED, PREDICTED
from consilium.bus.journal import Journal
from consilium.bus.state_store import StateStore
from consilium.bus.transport import Transport
from consilium.domain import Candle, PoolChanged, UnknownName, to_iso


class Seen(Protocol):
    """What is looked at of a living system."""

    journal: Journal
    store: StateStore
    transport: Transport
    engine: EnsembleEngine
    feed: LiveFeed
    pipeline: Pipeline
    troubles: dict[str, str]
    differing: int


__all__ = ["CONSENSUS_REACHED", "PREDICTED"]


def health(system: Seen) -> dict[str, Any]:
    """Return the body of /health, as the seeds have it."""
    return health_body(
        ready(system),
        coverage=system.pipeline.market.coverage,
        feed={"name": system.feed.name, "ts_event": max(system.pipeline.ts, 0)},
        federation=system.engine.federation(),
        roles_active=_roles_active(system.pipeline),
    )


def health_body(
    checks: Mapping[str, str],
    *,
    coverage: str,
    feed: Mapping[str, Any],
    federation: Mapping[str, Any],
    roles_active: int = 0,
) -> dict[str, Any]:
    """Return the body of /health of these parts."""
    broken = any(why and not why.startswith("warn") for why in checks.values())
    worried = any(why.startswith("warn") for why in checks.values())
    return {
        "status": "unhealthy" if broken else "degraded" if worried else "healthy",
        "service": "federation-ai",
        "version": __version__,
        "roles_active": roles_active,
        "coverage": coverage,
        "feed": dict(feed),
        "checks": {part: why or "ok" for part, why in checks.items()},
        "model_federation": dict(federation),
    }


def _roles_active(pipeline: Pipeline) -> int:
    """Return how many officers sit; none without a council."""
    service = pipeline.council.service
    return 0 if service is None else sum(service.roles.values())


def ready(system: Seen) -> dict[str, str]:
    """Return by part: nothing if it is ready, ``warn: ...``, or why not."""
    return {
        "journal": system.journal.failed or warned(system.journal.warnings),
        "migrations": "",
        "bus": _bus(system),
        "feed": _feed(system),
        "models": _models(system),
        "engine": system.troubles.get("engine", "")
        or warned(
            [
                *(system.troubles.get(part, "") for part in ("halt", "clock", "cycle", "council")),
                _differing(system.differing),
            ]
        ),
    }


def _differing(steps: int) -> str:
    if not steps:
        return ""
    told = "replayed steps came out otherwise than the journal has them"
    return f"{steps} {told}: go back to the version and settings that wrote it"


def warned(told: Any) -> str:
    """Return a warning of what is told, nothing where nothing is."""
    found = [text for text in told if text]
    return f"warn: {'; '.join(found)}" if found else ""


def _bus(system: Seen) -> str:
    # Wiping or losing Redis changes no state: the service goes on and says so.
    store, transport = system.store, system.transport
    told = [store.healthy(), transport.healthy(), *store.warnings(), *transport.warnings()]
    return warned(dict.fromkeys(told))


def _feed(system: Seen) -> str:
    return warned([system.troubles.get("feed", "") or system.feed.problem()])


def _models(system: Seen) -> str:
    change, trouble = system.pipeline.change, system.troubles.get("models", "")
    told = [trouble, *(f"{name}: {why}" for name, why in change.missing.items())]
    told += foreseen(change.learned_until, system.pipeline.ts)
    if not change.models:
        told.append("no model is loaded: coverage none, the fallback speaks")
    return warned(told)


def foreseen(learned_until: Mapping[str, int], ts: int) -> list[str]:
    """Return what is told of models that speak although they learned from bars that are still to come."""
    ahead = foreseeing(learned_until.items(), ts) if ts >= 0 else ()
    return [f"{name}: it learned from bars still to come, what it says is no evidence" for name in ahead]


def same_pool(one: PoolChanged, other: PoolChanged) -> bool:
    """Whether two messages say the same, whenever they were written."""
    return replace(one, ts_event=0) == replace(other, ts_event=0)


def market_status(system: Seen) -> dict[str, Any]:
    """Return what is followed, and how far."""
    pipeline, terms = system.pipeline, system.pipeline.terms
    ts = max(pipeline.ts, 0)
    return {
        "feed": terms.feed,
        "problem": system.troubles.get("feed", "") or system.feed.problem(),
        "interval_ns": terms.interval_ns,
        "symbols": list(terms.symbols),
        "ts_event": ts,
        "time": to_iso(ts),
        "coverage": pipeline.market.coverage,
        "models": dict(pipeline.change.models),
        "missing": dict(pipeline.change.missing),
        "left_out": dict(pipeline.market.counts),
        "latest": {symbol: max(f.ts_close, 0) for symbol, f in list(pipeline.market.followed.items())},
    }


def candles(pipeline: Pipeline, symbol: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest candles of a symbol, oldest first.

    Raises
    ------
    UnknownName
        It is not followed.
    """
    if symbol not in pipeline.market.followed:
        raise UnknownName("symbol", symbol, pipeline.market.followed)
    newest = list(pipeline.market.followed[symbol].candles)[-limit:]
    return [plain_candle(candle) for candle in newest]


def plain_candle(candle: Candle) -> dict[str, Any]:
    """Return a candle as plain JSON."""
    names = ("ts_open", "ts_close", "open", "high", "low", "close", "volume")
    return {name: getattr(candle, name) for name in names}


def history(journal: Journal, topic: str, symbol: str | None, after: int, limit: int) -> list[dict[str, Any]]:
    """Return payloads of one topic after a place of the journal, each with its place and id."""
    rows = journal.read(after, limit, topics=[topic], stream=symbol)
    return [
        {"offset": row.offset, "event_id": row.event.event_id, **_object(row.event.payload)} for row in rows
    ]


def _object(payload: object) -> dict[str, Any]:
    return dict(payload) if isinstance(payload, Mapping) else {}


def trading_status(pipeline: Pipeline) -> dict[str, Any]:
    """Return the account, its positions and the shadow books; on the thread that moves them only."""
    trading, books = pipeline.accounts.trading, pipeline.accounts.books
    snapshot = trading.portfolio.snapshot(max(pipeline.ts, 0))
    positions = {
        symbol: {
            "symbol": symbol,
            "quantity": p.quantity,
            "entry_price": p.entry_price,
            "margin": p.margin,
            "stop": p.stop,
        }
        for symbol, p in snapshot.positions.items()
    }
    figures = {
        name: getattr(snapshot, name)
        for name in (
            "ts_event", "equity", "nav", "cash", "locked", "reserve", "drawdown", "max_drawdown", "exposure",
            "leverage", "realized_pnl_today", "win_rate", "sharpe", "winning_days", "losing_days",
            "consecutive_losses",
        )
    }  # fmt: skip
    return figures | {
        "account": "paper",
        "positions": positions,
        "mode": trading.gate.policy.mode,
        "profile": trading.gate.policy.profile,
        "refusals": dict(trading.gate.refusals),
        "models": {name: book.figures() for name, book in list(books.items())},
    }
