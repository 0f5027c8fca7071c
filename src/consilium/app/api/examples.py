"""One example for each route, shown in the OpenAPI document and checked against its schema."""

from typing import Any

_MODEL = {"enabled": True, "weight": 0.4, "accuracy": 0.72}
_CONSENSUS = {"action": "BUY", "confidence": 0.73, "models_used": 6}
_EVENT: dict[str, Any] = {
    "offset": 41,
    "event_id": "5f2b1c0de4a94e6f8a3f2d1c0b9a8877",
    "topic": "trading.filled",
    "stream": "BTCUSDT",
    "version": 1,
    "ts_event": 1_723_075_200_000_000_000,
    "ts_recorded": 1_723_075_200_120_000_000,
    "cause_id": "",
    "trace_id": "",
    "payload": {"order_id": "o1", "price": 61_000.5, "quantity": 0.01, "fee": 0.61},
}
_MOVES = ("start", "pause", "resume", "cancel")
_SESSION: dict[str, Any] = {
    "session": "s-1",
    "state": "running",
    "reason": "",
    "task": "digits",
    "mode": "sum",
    "rounds": 10,
    "done": 1,
    "joined": 5,
    "admitted": 5,
    "dimension": 2_410,
    "version": "ab" * 32,
    "ts_changed": 1_723_075_200_000_000_000,
    "round": {
        "number": 2,
        "attempt": 1,
        "stage": "masked",
        "waits_for": ["desk-3"],
        "ts_opened": 1_723_075_200_000_000_000,
        "ts_cut_off": 1_723_075_800_000_000_000,
    },
}
_TRAINING = {
    "is_training": True,
    "current_epoch": 45,
    "total_epochs": 100,
    "current_loss": 0.234,
    "best_loss": 0.198,
    "architecture": "mpd_transformer",
    "progress_percent": 45.0,
    "error": "",
}


def _done(**more: Any) -> dict[str, Any]:
    return {"success": True, **more, "event_id": "5f2b1c0de4a94e6f8a3f2d1c0b9a8877"}


_DECISION = {
    "decision_id": "0d1c8c9c1f0e4c1d9a5a7e4b6b1d2f30",
    "decision_type": "CAPITAL_PROFILE",
    "role_source": "ceo",
    "priority": 3,
    "timestamp": "2024-01-01T12:00:00Z",
    "reason": "5 profitable days, upgrading to NORMAL",
    "payload": {
        "profile": "NORMAL",
        "max_risk_per_trade_pct": 0.02,
        "max_daily_risk_pct": 0.05,
        "max_positions": 5,
    },
    "rule": "P3",
    "offset": 812,
}
_POLICY = {
    "mode": "LIVE",
    "detail": "LIVE",
    "profile": "NORMAL",
    "max_leverage": 10.0,
    "max_position_size_usd": 10_000.0,
    "max_drawdown_pct": 0.08,
    "max_exposure_pct": 0.9,
    "stop_loss_multiplier": 1.0,
    "active_symbols": ["BTCUSDT", "ETHUSDT", "SOLUSDT"],
}
_HOLD = {
    "hold_id": "operator/O1:mode/mode",
    "owner": "operator",
    "rule": "O1:mode",
    "key": "mode",
    "value": "PAUSED",
    "reason": "Manual testing",
    "timestamp": "2024-01-01T12:00:00Z",
    "expires": "2024-01-01T13:00:00Z",
}
_ALERT = {
    "alert_id": "5f2b1c0de4a94e6f",
    "kind": "frozen",
    "severity": "critical",
    "title": "Trading is frozen by supervisor (CRITICAL)",
    "text": "Drawdown 10.2% exceeds limit",
    "timestamp": "2024-01-01T12:00:00Z",
    "acknowledged_by": "",
    "over": False,
}


def _ruled(**more: Any) -> dict[str, Any]:
    return {"success": True, "decision_id": "0d1c8c9c1f0e4c1d9a5a7e4b6b1d2f30", **more}


def _page(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(rows), "next": None}


EXAMPLES: dict[tuple[str, str], Any] = {
    ("get", "/livez"): {"status": "ok"},
    ("get", "/readyz"): {
        "status": "ready",
        "checks": {"journal": "ok", "migrations": "ok", "bus": "ok", "feed": "ok", "models": "ok"},
        "warnings": [],
    },
    ("get", "/health"): {
        "status": "healthy",
        "service": "consilium",
        "version": "0.1.0",
        "roles_active": 6,
        "model_federation": {
            "status": "active",
            "consensus_signal": _CONSENSUS,
            "trusted_weights": {"xgb": 1.12, "nhits": 1.08, "patchtst": 0.95},
        },
    },
    ("get", "/metrics"): "consilium_journal_offset 41.0\n",
    ("get", "/api/ensemble/status"): {
        "strategy": "weighted_voting",
        "total_models": 1,
        "enabled_models": 1,
        "models": {"cnn_lstm": _MODEL},
        "last_prediction": _CONSENSUS,
    },
    ("get", "/api/ensemble/models"): [{"model_type": "cnn_lstm", **_MODEL}],
    ("post", "/api/ensemble/models/enable"): _done(model_type="mpd_transformer", enabled=False),
    ("post", "/api/ensemble/models/weight"): _done(model_type="cnn_lstm", weight=0.5),
    ("post", "/api/ensemble/strategy"): _done(strategy="adaptive"),
    ("post", "/api/ensemble/performance/update"): _done(model_type="cnn_lstm"),
    ("post", "/api/ensemble/training/start"): _TRAINING | {"current_epoch": 0, "progress_percent": 0.0},
    ("get", "/api/ensemble/training/status"): _TRAINING,
    ("post", "/api/ensemble/training/cancel"): _TRAINING | {"is_training": False},
    ("get", "/api/federation/status"): {
        "roles": dict.fromkeys(("ceo", "cio", "cro", "cfo", "researcher", "supervisor"), True),
        "total_decisions": 142,
        "last_update": "2024-01-01T12:00:00Z",
        "mode": "LIVE",
        "detail": "LIVE",
        "profile": "NORMAL",
    },
    ("get", "/api/federation/decisions"): {"total": 1, "decisions": [_DECISION], "next": None},
    ("get", "/api/federation/policy"): _POLICY,
    ("get", "/api/federation/holds"): {"holds": [_HOLD]},
    ("get", "/api/federation/approvals"): {
        "approvals": [{"approval_id": "a1", "action": "mode", "person": "ann", "reason": "All is well again"}]
    },
    ("get", "/api/federation/alerts"): {"alerts": [_ALERT], "waiting": {"webhook": 0}},
    ("get", "/api/federation/explain/{decision_id}"): {"decision": _DECISION},
    ("post", "/api/federation/mode"): _ruled(mode="PAUSED"),
    ("post", "/api/federation/risk"): _ruled(limits={"max_leverage": 5.0, "max_drawdown_pct": 0.05}),
    ("post", "/api/federation/profile"): _ruled(profile="LOW"),
    ("post", "/api/federation/universe"): _ruled(symbols=["BTCUSDT", "ETHUSDT"]),
    ("post", "/api/federation/allocation"): _ruled(model="xgboost", weight=0.4),
    ("post", "/api/federation/approvals/{approval_id}"): _ruled(approval_id="a1"),
    ("post", "/api/federation/freeze"): _ruled(mode="EMERGENCY", detail="FROZEN"),
    ("post", "/api/federation/freeze/review"): _done(what="freeze"),
    ("post", "/api/federation/holds/{hold_id}/release"): _done(hold_id="operator/O1:mode/mode"),
    ("post", "/api/federation/sources/{source}/retire"): _done(source="outside:backend"),
    ("post", "/api/federation/alerts/{alert_id}/acknowledge"): _done(alert_id="5f2b1c0de4a94e6f"),
    ("post", "/api/federation/roles/{role}/enable"): _done(role="researcher", status="enabled"),
    ("post", "/api/federation/roles/{role}/disable"): _done(role="researcher", status="disabled"),
    ("get", "/api/network/sessions"): {"sessions": [_SESSION], "waiting": {}},
    ("post", "/api/network/sessions"): _SESSION,
    ("get", "/api/network/sessions/{session}"): _SESSION
    | {
        "terms": {"session": "s-1", "task": "digits", "mode": "sum"},
        "terms_digest": "ab" * 32,
        "options": {},
        "owners_digest": "cd" * 32,
        "coordinator": {"name": "coordinator", "key": "ef" * 32},
        "threats": ["Nobody sees a single update; the sum is seen."],
    },
    **{("post", f"/api/network/sessions/{{session}}/{word}"): _SESSION for word in _MOVES},
    ("get", "/api/network/sessions/{session}/reports"): {
        "reports": [{"number": 1, "survivors": ["desk-1", "desk-2", "desk-3"], "failed": ""}]
    },
    ("get", "/api/network/sessions/{session}/owners"): '{"format": "consilium owners", "version": 1}',
    ("post", "/api/network/sessions/{session}/registrations"): {"participant": "desk-1", "first_round": 1},
    ("get", "/api/network/sessions/{session}/round"): {"state": "running", "done": 1, "round": None},
    ("get", "/api/network/sessions/{session}/model"): "the bytes of an npz file",
    (
        "get",
        "/api/network/sessions/{session}/outbox/{owner}",
    ): "messages, each after its length in four bytes",
    ("post", "/api/network/sessions/{session}/messages"): {"success": True},
    ("post", "/api/network/sessions/{session}/updates"): {"success": True},
    ("get", "/api/market/status"): {"feed": "replay:candles.parquet", "symbols": ["BTCUSDT"], "steps": 40},
    ("get", "/api/market/candles"): {
        "symbol": "BTCUSDT",
        "candles": [
            {
                "ts_open": 1_723_075_200_000_000_000,
                "open": 61_000.0,
                "high": 61_200.0,
                "low": 60_900.0,
                "close": 61_100.0,
                "volume": 12.5,
            }
        ],
    },
    ("get", "/api/market/predictions"): _page(
        {"offset": 38, "model": "xgboost", "symbol": "BTCUSDT", "probabilities": [0.2, 0.3, 0.5]}
    ),
    ("get", "/api/consensus"): _page(
        {"offset": 40, "symbol": "BTCUSDT", "rule": "weighted_voting", "direction": 2, "confidence": 0.73}
    ),
    ("get", "/api/trading/status"): {"equity": 10_000.0, "drawdown": 0.0, "positions": {}},
    ("get", "/api/trading/positions"): {
        "positions": [{"symbol": "BTCUSDT", "quantity": 0.01, "entry_price": 61_000.5}]
    },
    ("get", "/api/trading/orders"): _page(_EVENT | {"topic": "trading.order_sent"}),
    ("get", "/api/trading/fills"): _page(_EVENT),
    ("get", "/api/events"): {"id": "41", "event": "trading.filled", "data": "{}"},
    ("get", "/api/events/history"): _page(_EVENT),
    ("post", "/api/events/portfolio.snapshot_updated"): _done(topic="portfolio.snapshot_updated"),
    ("post", "/api/events/system.health_updated"): _done(topic="system.health_updated"),
    ("post", "/api/events/model.performance_updated"): _done(topic="model.performance_updated"),
}


def _outside(payload: dict[str, Any]) -> dict[str, Any]:
    return {"source": "backend", "sequence": 1, "ts_event": 1_723_075_200_000_000_000, "payload": payload}


PAYLOAD_EXAMPLES: dict[str, Any] = {
    "portfolio.snapshot_updated": _outside(
        {
            "total_equity": 10_250.0,
            "drawdown_pct": 0.012,
            "max_drawdown_pct": 0.034,
            "realized_pnl_today": 41.5,
            "exposure_pct": 0.2,
            "open_positions": 2,
            "win_rate": 0.55,
            "sharpe_ratio": 1.1,
            "consecutive_losses": 0,
            "winning_days": 5,
            "losing_days": 3,
        }
    ),
    "system.health_updated": _outside({"system_status": "HEALTHY", "ess_state": "NOMINAL"}),
    "model.performance_updated": _outside({"model_name": "xgboost", "sharpe_ratio": 1.8, "win_rate": 0.65}),
}
"""Bodies of the topics that an outside system may publish."""
