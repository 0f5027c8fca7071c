"""Candles fetched from an exchange into a folder: resumable, whole at any instant, told where it has gaps."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue, OutputProblem, UnknownName
from consilium.domain.files import sweep_unfinished
from consilium.domain.time import DAY_NS, MS_NS, to_iso
from consilium.market.candles import COLUMNS
from consilium.market.checks import check_bars, raw_bars, typical_interval
from consilium.market.columns import canonical
from consilium.market.exchange import ExchangeClient, Retry
from consilium.market.files import interval_length, unreadable, write_whole
from consilium.market.findings import Finding
from consilium.market.plan import PRESETS, Plan, stored_plan, wish, write_plan
from consilium.market.universe import RANK_DAYS, candidates, most_traded, turnover


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a download is.

    Parameters
    ----------
    phase
        ``universe`` (counting symbols ranked) or ``candles`` (counting bars).
    symbol
        Which was just fetched.
    done, total
        Counts; symbols that have fewer bars than asked for count as complete.
    """

    phase: str
    symbol: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What is in the folder now.

    Parameters
    ----------
    folder, plan
        Where, and what was planned; `load_candles(folder, drop_last=False)` reads it: all bars are finished.
    bars, requests, retries
        Bars stored in all, requests this run took, and how many of them asked again.
    findings
        Gaps, and symbols that begin late, end early or have no bars.
    """

    folder: Path
    plan: Plan
    bars: int
    requests: int
    retries: int
    findings: tuple[Finding, ...]


def download(
    folder: Path | str,
    *,
    preset: str = "small",
    symbols: Sequence[str] | None = None,
    bars: int | None = None,
    interval: str = "1h",
    end_ts: int | None = None,
    exchange: str = "binance",
    quote: str = "USDT",
    base_url: str | None = None,
    timeout_s: float = 20.0,
    pace_ms: float | None = None,
    attempts: int = 8,
    progress: Callable[[Progress], None] | None = None,
    retry: Callable[[Retry], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Download:
    """Fetch finished candles of spot pairs, one parquet file a symbol, going on where an earlier run stopped.

    Without `symbols` the most traded pairs of the week before the period are taken (`universe`), so that the
    choice knows nothing of the period itself. Each page is stored whole before the next is asked for: a
    process killed at any instant loses at most one page and leaves no broken file.

    Parameters
    ----------
    folder
        Made if missing. Its `plan.json` fixes symbols and period; the same call goes on with it, and a later
        `end_ts` extends it.
    preset
        ``small`` (15 symbols x 500 bars) or ``full`` (100 symbols x 90 days).
    symbols
        Which pairs (``BTCUSDT`` or ``BTC/USDT``) instead of the preset's universe.
    bars
        How many bars before the end, >= 1, instead of the preset's.
    interval
        Length of a bar: ``1h``, ``15m``, ...
    end_ts
        Time before which the last bar opens; the exchange's present if None. Only finished bars are fetched.
    exchange, quote, base_url, timeout_s, pace_ms, attempts, sleep
        See `ExchangeClient`; the quote currency is that of the universe.
    progress
        Called after every answer.
    retry
        Called before every wait for an exchange that gave no answer.

    Raises
    ------
    UsageError
        ccxt is missing, or the folder holds another download.
    UnknownName
        No such preset, exchange, interval or symbol.
    DataProblem
        The exchange does not answer in the end; run again to go on.
    OutputProblem
        The folder cannot be written.
    """
    if preset not in PRESETS:
        raise UnknownName("preset", preset, PRESETS)
    if bars is not None and bars < 1:
        raise InvalidValue("bars must be >= 1", bars, "ask for at least one bar")
    where = Path(folder)
    _prepare(where)
    asked = wish(preset, symbols, bars, interval, exchange, quote)
    tell = progress or (lambda _: None)
    client = ExchangeClient(
        exchange, base_url=base_url, timeout_s=timeout_s, pace_ms=pace_ms, attempts=attempts, sleep=sleep,
        retry=retry,
    )  # fmt: skip
    with client:
        length = client.interval_ns(interval)
        plan = stored_plan(where, asked)
        if plan is None:
            end = _floor(client.now(), end_ts, length)
            start = end - (bars or PRESETS[preset].span(length)) * length
            pairs = _pairs(client, quote, start, preset, symbols, tell)
            plan = Plan(
                exchange=exchange, quote=quote, interval=interval, start_ts=start, end_ts=end,
                pairs=pairs, asked=asked,
            )  # fmt: skip
        elif end_ts is not None and end_ts > plan.end_ts:
            plan = replace(plan, end_ts=max(plan.end_ts, _floor(client.now(), end_ts, length)))
        write_plan(where, plan)
        stored = _fetch_all(client, where, plan, tell)
    return Download(
        folder=where,
        plan=plan,
        bars=stored,
        requests=client.requests,
        retries=client.retries,
        findings=report(where, plan),
    )


def report(folder: Path, plan: Plan) -> tuple[Finding, ...]:
    """Return what is missing in a downloaded folder: gaps, late beginnings, early ends, empty symbols."""
    findings: list[Finding] = []
    for symbol in plan.pairs:
        table = _stored(folder, plan, symbol)
        if len(table):
            named = table.with_columns(pl.lit(symbol).alias("symbol"))
            bars = raw_bars(canonical(named.lazy()).collect())[0]
            findings += check_bars(replace(bars, interval_ns=interval_length(plan.interval)))
        findings += _extent(symbol, table, plan)
    return tuple(findings)


def _floor(now: int, end_ts: int | None, length: int) -> int:
    """Return the end of the last bar that is finished now and lies before the end asked for."""
    return min(now, now if end_ts is None else end_ts) // length * length


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep_unfinished(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputProblem(
            "the download folder must be writable",
            f"'{folder}' ({error.strerror or error})",
            "choose another folder",
        ) from error


def _pairs(
    client: ExchangeClient,
    quote: str,
    start: int,
    preset: str,
    symbols: Sequence[str] | None,
    tell: Callable[[Progress], None],
) -> dict[str, str]:
    """Find the pairs that were named, or those of the preset's universe."""
    if symbols is None:
        return _universe(client, quote, start, PRESETS[preset].symbols, tell)
    return _named(client, quote, symbols)


def _universe(
    client: ExchangeClient, quote: str, start: int, count: int, tell: Callable[[Progress], None]
) -> dict[str, str]:
    """Rank by what was traded in the days before the period; a pair not yet traded then is left out."""
    pairs = candidates(client.spot_pairs(quote), quote)
    until = start // DAY_NS * DAY_NS
    traded = {}
    for i, (symbol, pair) in enumerate(pairs.items()):
        traded[symbol] = turnover(client.candles(pair, "1d", until - RANK_DAYS * DAY_NS, until))
        tell(Progress(phase="universe", symbol=symbol, done=i + 1, total=len(pairs)))
    return {symbol: pairs[symbol] for symbol in most_traded(traded, count)}


def _named(client: ExchangeClient, quote: str, symbols: Sequence[str]) -> dict[str, str]:
    known = client.spot_pairs(quote)
    chosen = {}
    for symbol in symbols:
        plain = symbol.replace("/", "").upper()
        if plain not in known:
            raise UnknownName("symbol", symbol, known)
        chosen[plain] = known[plain]
    if not chosen:
        raise InvalidValue("symbols must not be empty", "none", "name at least one pair")
    return chosen


def _fetch_all(client: ExchangeClient, folder: Path, plan: Plan, tell: Callable[[Progress], None]) -> int:
    length = client.interval_ns(plan.interval)
    each = (plan.end_ts - plan.start_ts) // length
    stored = 0
    for i, (symbol, pair) in enumerate(plan.pairs.items()):
        table = _stored(folder, plan, symbol)
        since = _after(table, length, plan.start_ts)
        while since < plan.end_ts:
            page = client.candles(pair, plan.interval, since, plan.end_ts)
            if not len(page):
                break
            table = table.vstack(_as_table(page))
            write_whole(_file(folder, plan, symbol), table.write_parquet)
            since = _after(table, length, plan.start_ts)
            fetched = (since - plan.start_ts) // length
            tell(
                Progress(
                    phase="candles", symbol=symbol, done=i * each + fetched, total=each * len(plan.pairs)
                )
            )
        stored += len(table)
        tell(Progress(phase="candles", symbol=symbol, done=(i + 1) * each, total=each * len(plan.pairs)))
    return stored


def _file(folder: Path, plan: Plan, symbol: str) -> Path:
    return folder / f"{symbol}-{plan.interval}.parquet"


def _as_table(page: NDArray[np.float64]) -> pl.DataFrame:
    columns = {name: np.ascontiguousarray(page[:, j + 1]) for j, name in enumerate(COLUMNS)}
    table = pl.DataFrame({"date": page[:, 0].astype(np.int64), **columns})
    return table.with_columns(pl.from_epoch("date", time_unit="ms").dt.replace_time_zone("UTC"))


def _stored(folder: Path, plan: Plan, symbol: str) -> pl.DataFrame:
    path = _file(folder, plan, symbol)
    if not path.exists():
        return _as_table(np.empty((0, 6)))
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from error


def _after(table: pl.DataFrame, length: int, start: int) -> int:
    if not len(table):
        return start
    return int(table["date"].dt.epoch("ms")[-1]) * MS_NS + length


def _extent(symbol: str, table: pl.DataFrame, plan: Plan) -> list[Finding]:
    """Say where a symbol does not cover the period: it was listed later, delisted, or never traded."""
    wanted = f"{to_iso(plan.start_ts)} to {to_iso(plan.end_ts)}"
    if not len(table):
        what, row, ts = f"no bars in {wanted}", 0, None
    else:
        times = table["date"].dt.epoch("ns").to_numpy()
        first, last = int(times[0]), int(times[-1])
        length = interval_length(plan.interval) or typical_interval(times) or plan.end_ts - last
        if first <= plan.start_ts and last + length >= plan.end_ts:
            return []
        what, row, ts = f"bars from {to_iso(first)} to {to_iso(last)} of {wanted}", 1, first
    return [
        Finding(kind="extent", symbol=symbol, row=row, ts=ts, count=len(table), detail=what,
                cure="nothing if it was listed or delisted then; else run the same command again")
    ]  # fmt: skip
