"""What earlier verdicts said: they stay in every later report."""

from typing import Any

from consilium.domain import to_iso
from consilium.training.runs.openings import origin_of
from consilium.training.runs.table import RunRow, RunTable


def past_verdicts(table: RunTable, kind: str = "judge") -> list[dict[str, Any]]:
    """Return every verdict that runs of a kind have recorded, oldest first, as plain JSON.

    A run records it with ``run.record({"verdict": ..., "trading_verdict": ..., "data": ...})``; one that has
    not come to a verdict is not listed, but its opening is counted.

    Parameters
    ----------
    table
        The run table.
    kind
        Which runs.

    Returns
    -------
    For each: ``run``, ``ended`` (ISO time, None for one that was killed after its verdict), ``data``,
    ``origin`` of the data (``observed``, ``sample``, ``simulated``, None if it was not written down),
    ``config_hash``, ``word`` and ``trading_word`` (None if it said nothing of trading).
    """
    return [_told(row) for row in table.rows(kind) if row.figures.get("verdict")]


def _told(row: RunRow) -> dict[str, Any]:
    source = row.figures.get("data") or row.config.get("data")
    return {
        "run": row.run_id,
        "ended": None if row.ts_ended is None else to_iso(row.ts_ended),
        "data": source,
        "origin": origin_of(str(source)) if source else None,
        "config_hash": row.config_hash,
        "word": row.figures["verdict"],
        "trading_word": row.figures.get("trading_verdict"),
    }
