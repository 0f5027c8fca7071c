"""Run tables as earlier versions wrote them."""

import json
import sqlite3
from pathlib import Path

from consilium.domain import DAY_NS, HOUR_NS

OLD_SCHEMA = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT UNIQUE, kind TEXT NOT NULL,
    ts_started INTEGER NOT NULL, ts_ended INTEGER,
    status TEXT NOT NULL CHECK (status IN ('running', 'ok', 'failed', 'aborted')),
    config TEXT NOT NULL, config_hash TEXT NOT NULL, seed INTEGER, data_digest TEXT NOT NULL,
    code_version TEXT NOT NULL, figures TEXT NOT NULL, error TEXT NOT NULL
)
"""


def old_table(path: Path) -> None:
    """Write a table as version 0.1.0 did, before openings were kept."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(OLD_SCHEMA)
        for number, (kind, config) in enumerate(
            (
                ("backtest", {"data": "c.parquet", "universe": ["BTCUSDT"], "interval_ns": HOUR_NS}),
                ("backtest", {"data": "simulate:bars=900", "universe": ["SIM00"]}),
                ("train", {"universe": ["ETHUSDT"]}),
                ("walk_forward", {}),
            ),
            start=1,
        ):
            connection.execute(
                "INSERT INTO runs (run_id, kind, ts_started, ts_ended, status, config, config_hash, seed, "
                "data_digest, code_version, figures, error) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (f"{number:06d}-old", kind, 50 * DAY_NS, 51 * DAY_NS, "ok", json.dumps(config), "h", 7, "d",
                 "0.1.0", '{"verdict": "better"}', ""),
            )  # fmt: skip
    connection.close()
