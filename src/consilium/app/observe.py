"""Where a run's candles come from: a file, the bundled sample, or the simulator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from consilium.domain import DataProblem, UnknownName, UsageError
from consilium.market.candles import COLUMNS, CandleSeries
from consilium.market.features import feature_names, warm_up
from consilium.market.plan import PLAN
from consilium.market.simulator import simulate
from consilium.market.sources import Loaded, load_candles, sample_candles

SHORT_HISTORY = 2
"""A history shorter than this many warm-ups of candle62 is read with core14."""

SIMULATE_KEYS = {"symbols": int, "bars": int, "signal_ic": float, "kind": str, "seed": int}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Candles with what was noticed about them.

    Parameters
    ----------
    panel
        Candles by symbol.
    findings
        One line each; empty if the data are clean.
    source
        What was read, for the report.
    """

    panel: Mapping[str, CandleSeries]
    findings: tuple[str, ...]
    source: str

    def digest(self) -> str:
        """Hash the times and numbers of all series: SHA-256, 64 hex digits."""
        state = sha256()
        for symbol in sorted(self.panel):
            series = self.panel[symbol]
            state.update(symbol.encode())
            state.update(series.ts_open.tobytes())
            for column in COLUMNS:
                state.update(getattr(series, column).tobytes())
        return state.hexdigest()

    @property
    def bars(self) -> int:
        """Bars of all symbols together."""
        return sum(len(series) for series in self.panel.values())


def observe(data: str, symbols: Sequence[str] | None, *, repair: bool = False, seed: int = 7) -> Observed:
    """Read candles.

    Parameters
    ----------
    data
        A path, ``sample``, or ``simulate`` with settings, as in
        ``simulate:symbols=5,bars=4000,signal_ic=0.05`` (kind: market, random_walk or garch).
    symbols
        Which of them; None means all.
    seed
        Of the simulator.

    Raises
    ------
    UsageError
        The path does not exist, or a setting of the simulator is unknown.
    DataProblem
        Nothing usable is left.
    UnknownName
        A symbol that the data do not hold.
    """
    panel: Mapping[str, CandleSeries]
    if data == "sample":
        loaded = sample_candles()
        panel, findings, source = loaded.series, loaded.findings, "sample"
        panel = _chosen(panel, symbols)
    elif data == "simulate" or data.startswith("simulate:"):
        panel, findings, source = _simulated(data, seed), (), data
        panel = _chosen(panel, symbols)
    else:
        path = Path(data)
        if not path.exists():
            raise UsageError(
                "data must be a file, a folder, `sample` or `simulate`", f"'{data}'", "check the path"
            )
        downloaded = (path / PLAN).exists()
        loaded = load_candles(path, symbols, repair=repair, drop_last=not downloaded)
        panel, findings, source = loaded.series, loaded.findings, path.name
    if not panel:
        raise DataProblem(
            "a run needs at least one usable symbol", "none", "repair the data or name other symbols"
        )
    return Observed(panel=panel, findings=tuple(str(finding) for finding in findings), source=source)


def survey(data: str, symbols: Sequence[str] | None, *, repair: bool = False) -> Loaded:
    """Read candles and keep every finding, also where nothing usable is left.

    Raises
    ------
    UsageError
        The path does not exist.
    DataProblem
        The file is no candle file at all.
    UnknownName
        A symbol that the data do not hold.
    """
    if data == "sample":
        return sample_candles()
    return load_candles(_existing(data), symbols, repair=repair, drop_last=False, refuse_broken=False)


def _existing(data: str) -> Path:
    path = Path(data)
    if not path.exists():
        raise UsageError(
            "data must be a file, a folder, `sample` or `simulate`", f"'{data}'", "check the path"
        )
    return path


def fitting_features(observed: Observed) -> str:
    """Return candle62 where the longest series allows its windows, else core14."""
    longest = max(len(series) for series in observed.panel.values())
    return "candle62" if longest >= SHORT_HISTORY * warm_up(feature_names("candle62")) else "core14"


def _chosen(panel: Mapping[str, CandleSeries], symbols: Sequence[str] | None) -> Mapping[str, CandleSeries]:
    if symbols is None:
        return panel
    for symbol in symbols:
        if symbol not in panel:
            raise UnknownName("symbol", symbol, panel)
    return {symbol: panel[symbol] for symbol in symbols}


def _simulated(data: str, seed: int) -> Mapping[str, CandleSeries]:
    settings: dict[str, object] = {"symbols": 4, "bars": 4000, "seed": seed}
    for part in filter(None, data.partition(":")[2].split(",")):
        key, _, text = part.partition("=")
        if key not in SIMULATE_KEYS:
            raise UnknownName("simulator setting", key, SIMULATE_KEYS)
        try:
            settings[key] = SIMULATE_KEYS[key](text)
        except ValueError:
            raise UsageError(f"{key} must be a number", repr(text), "write for example bars=4000") from None
    return simulate(**settings).series  # type: ignore[arg-type]
