"""Where a run's candles and books come from: files, recordings, the bundled sample, or the simulator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from consilium.app.recorded import FEWEST, bars_of, join_books, recordings_at, snapshots_of
from consilium.app.simulated import has_books, is_simulated, simulated_books, simulated_candles
from consilium.app.stages import ProgressCall, silent
from consilium.domain import DataProblem, UnknownName, UsageError
from consilium.domain.time import SECOND_NS, length_ns
from consilium.market.book.archive import is_archive
from consilium.market.book.rows import BookRows
from consilium.market.book.series import SIDES
from consilium.market.candles import COLUMNS, CandleSeries
from consilium.market.features import BookColumns, feature_names, of_books, warm_up
from consilium.market.plan import PLAN
from consilium.market.recordings import Recordings, is_recording, plain_symbol
from consilium.market.sources import Loaded, load_candles, sample_candles
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelDefinition

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

SHORT_HISTORY = 2
"""A history shorter than this many warm-ups of candle62 is read with core14."""


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
    recordings
        Books and trades; None where no books were given.
    books
        Features of the books at the closes of the bars, by symbol; empty until `with_books`.
    snapshots
        The books themselves, by symbol; empty until `with_snapshots`.
    """

    panel: Mapping[str, CandleSeries]
    findings: tuple[str, ...]
    source: str
    recordings: Recordings | None = None
    books: Mapping[str, BookColumns] = field(default_factory=dict)
    snapshots: Mapping[str, BookRows] = field(default_factory=dict)

    def digest(self, *, fills: bool = False) -> str:
        """Hash the times and numbers of all series and book features: SHA-256, 64 hex digits.

        Parameters
        ----------
        fills
            Whether orders are filled from the recordings: then they belong to the data.
        """
        state = sha256()
        for symbol in sorted(self.panel):
            series = self.panel[symbol]
            state.update(symbol.encode())
            state.update(series.ts_open.tobytes())
            for column in COLUMNS:
                state.update(getattr(series, column).tobytes())
        for symbol in sorted(self.books):
            state.update(symbol.encode())
            state.update(self.books[symbol].values.tobytes())
        for symbol in sorted(self.snapshots):
            state.update(symbol.encode())
            state.update(self.snapshots[symbol].touch.ts_event.tobytes())
            state.update(self.snapshots[symbol].values.tobytes())
        if fills:
            self._add_recordings(state)
        return state.hexdigest()

    def _add_recordings(self, state: "Hash") -> None:
        """Hash books and trades, of one symbol at a time."""
        if self.recordings is None:
            return
        known = {plain_symbol(name): name for name in self.recordings.symbols}
        for symbol in sorted(self.panel):
            if (name := known.get(plain_symbol(symbol))) is None:
                continue
            state.update(symbol.encode())
            for series, columns in (
                (self.recordings.book(name), (*SIDES, "session")),
                (self.recordings.trades(name), ("price", "size", "taker_buy")),
            ):
                state.update(f"{series.venue} {len(series)}".encode())
                for column in ("ts_event", *columns):
                    state.update(getattr(series, column).tobytes())

    @property
    def bars(self) -> int:
        """Bars of all symbols together."""
        return sum(len(series) for series in self.panel.values())

    def with_books(
        self, names: Sequence[str], progress: ProgressCall = silent, *, fewest: float = FEWEST
    ) -> "Observed":
        """Compute the features of books, if any of some features is one, and say what they cover.

        Parameters
        ----------
        names
            Features that are wanted.
        progress
            Called after each symbol.
        fewest
            Share of the bars that books must cover, in [0, 1].

        Raises
        ------
        DataProblem
            A book that cannot be, or books that cover fewer bars.
        """
        if self.books or not of_books(names).any():
            return self
        books, said = join_books(self.panel, self.recordings, progress, fewest=fewest)
        return replace(self, books=books, findings=(*self.findings, *said))

    def with_snapshots(self, progress: ProgressCall = silent) -> "Observed":
        """Keep the books themselves, one row of single precision each, for models that read windows of them.

        Raises
        ------
        DataProblem
            A book that cannot be.
        """
        if self.snapshots or self.recordings is None:
            return self
        return replace(self, snapshots=snapshots_of(self.panel, self.recordings, progress))

    def dataset(self, features: str | Sequence[str], spec: LabelDefinition) -> Dataset:
        """Return the rows of features and labels, with all that is known of books; as `build_dataset`."""
        return build_dataset(self.panel, features, spec, self.books, self.snapshots)


def observe(
    data: str,
    symbols: Sequence[str] | None,
    *,
    repair: bool = False,
    seed: int = 7,
    books: Sequence[str] = (),
    bar: str = "",
) -> Observed:
    """Read candles, or build them from recorded trades.

    Parameters
    ----------
    data
        A path, ``sample``, or ``simulate`` with settings, as in
        ``simulate:symbols=5,bars=4000,signal_ic=0.05`` (kind: market, random_walk or garch) or
        ``simulate:kind=book,symbols=2,bars=4000,strength=0.6``.
    symbols
        Which of them; None means all.
    seed
        Of the simulator.
    books
        Files and folders of recorded books; ``simulate`` for those of a simulated market of kind book.
    bar
        Length of the bars that are built from trades, such as 1s; empty where the data are candles.

    Raises
    ------
    UsageError
        The path does not exist, a setting of the simulator is unknown, or bars are asked of candles.
    DataProblem
        Nothing usable is left.
    UnknownName
        A symbol that the data do not hold.
    """
    if has_books(data):
        market = simulated_books(data, seed, length_ns(bar) if bar else SECOND_NS)
        panel, findings = bars_of(market, symbols, length_ns(bar) if bar else SECOND_NS)
        return Observed(
            panel=panel, findings=findings, source=data, recordings=market if _own(books) else None
        )
    if bar:
        found = recordings_at((str(_recorded(data)), *books))
        panel, findings = bars_of(found, symbols, length_ns(bar))
        return Observed(
            panel=panel,
            findings=findings,
            source=Path(data).name,
            recordings=found if books else None,
        )
    observed = _observe_candles(data, symbols, repair=repair, seed=seed)
    return replace(observed, recordings=recordings_at(books)) if books else observed


def _own(books: Sequence[str]) -> bool:
    for path in books:
        if path != "simulate":
            raise UsageError(
                "a simulated market has books of its own", f"--books {path}", "use --books simulate"
            )
    return bool(books)


def _recorded(data: str) -> Path:
    if data == "sample" or is_simulated(data):
        raise UsageError(
            "--bar builds bars from trades",
            f"--data {data}, which has none",
            "give recorded trades, or --data simulate:kind=book",
        )
    path = _existing(data)
    if not is_recording(path):
        raise UsageError(
            "--bar builds bars from trades",
            f"'{data}' without recorded trades",
            "give the trades or the folder of a recorder, or leave --bar out for candles",
        )
    return path


def _observe_candles(data: str, symbols: Sequence[str] | None, *, repair: bool, seed: int) -> Observed:
    panel: Mapping[str, CandleSeries]
    if data == "sample":
        loaded = sample_candles()
        panel, findings, source = loaded.series, loaded.findings, "sample"
        panel = _chosen(panel, symbols)
    elif is_simulated(data):
        panel, findings, source = simulated_candles(data, seed), (), data
        panel = _chosen(panel, symbols)
    else:
        path = _existing(data)
        _require_candles(path)
        downloaded = (path / PLAN).exists()
        loaded = load_candles(path, symbols, repair=repair, drop_last=not downloaded)
        panel, findings, source = loaded.series, loaded.findings, path.name
    if not panel:
        raise DataProblem(
            "a run needs at least one usable symbol", "none", "repair the data or name other symbols"
        )
    return Observed(panel=panel, findings=tuple(str(finding) for finding in findings), source=source)


def _require_candles(path: Path) -> None:
    first = min(path.glob("*.parquet"), default=path) if path.is_dir() else path
    if is_archive(path) or (first.suffix == ".parquet" and is_recording(first)):
        raise UsageError(
            "recorded trades need a length of bar", f"'{path}' without --bar", "add for example --bar 1s"
        )


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
