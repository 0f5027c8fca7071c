"""Recordings, or simulated books, served as an exchange on loopback."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consilium.app.collecting.signals import ends_on_signals
from consilium.domain import DataProblem, InvalidValue, OutputProblem, UnknownName, UsageError
from consilium.domain.tables import missing_package
from consilium.domain.time import SECOND_NS
from consilium.market.book.streams import read_recording
from consilium.market.replay.faults import Faults
from consilium.market.replay.tape import Tape, told

if TYPE_CHECKING:
    from consilium.market.replay.exchange import ReplayExchange

SIMULATED_MS = 100
LONGEST_DRAIN_S = 30.0
LAST_WORD_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What is served, and how; fields as `consilium.market.replay.exchange.ReplayExchange` has them.

    Parameters
    ----------
    tapes
        By the name under which each is played.
    dated_now
        Whether the exchange's times become those of now.
    stays
        Whether snapshots are answered after the end too, until Ctrl-C.
    """

    tapes: Mapping[str, Tape]
    market: str
    speed: float = 1.0
    faults: Faults = field(default_factory=Faults)
    seed: int = 0
    port: int = 0
    dated_now: bool = True
    stays: bool = False

    @property
    def seconds(self) -> float:
        """Length of what is played, in recorded seconds."""
        times = [
            message.ts_local
            for tape in self.tapes.values()
            for message in (tape.messages[0], tape.messages[-1])
        ]
        return (max(times) - min(times)) / SECOND_NS


def read_faults(text: str | None) -> Faults:
    """Read ``drop=0.001,delay=0.01,delay_s=0.5`` into faults.

    Raises
    ------
    UnknownName, UsageError
        No such fault; a share outside [0, 1] or no number.

    Examples
    --------
    >>> read_faults("drop=0.001,disconnect=0.01").disconnect
    0.01
    """
    known = [known.name for known in fields(Faults)]
    given: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in (text or "").split(","))):
        name, _, share = part.partition("=")
        if name not in known:
            raise UnknownName("fault", name, known)
        try:
            given[name] = float(share)
        except ValueError:
            raise UsageError(
                f"{name} must be a number", f"'{share}'", f"write for example {name}=0.001"
            ) from None
    try:
        return Faults(**given)
    except InvalidValue as error:
        raise UsageError(f"--faults: {error.bound}", error.value, error.cure) from None


def load_tape(path: Path) -> tuple[Tape, str]:
    """Load a recording of one symbol; return its tape and the market that its messages speak of.

    Raises
    ------
    DataProblem
        The recording cannot be read, or holds no symbol or several.
    """
    lines = list(read_recording(path))
    said = (told(line.payload) for line in lines)
    symbols = {found.stream.partition("@")[0].upper() for found in said if found and "@" in found.stream}
    if len(symbols) != 1:
        raise DataProblem(
            f"{path.name} must hold the streams of one symbol",
            ", ".join(sorted(symbols)[:5]) or "no stream",
            "give a recording of one symbol; several files make several symbols",
        )
    (symbol,) = symbols
    tape = Tape(symbol, lines)
    depth = next(message.data for message in tape.messages if message.kind == "depth")
    if b'"pu":' not in depth:
        return tape, "spot"
    return tape, "coinm" if "_" in symbol else "usdm"


def tape_warnings(name: str, tape: Tape) -> list[str]:
    """Return a line for each kind of trouble in a recording that is played all the same."""
    lines = []
    if tape.holes:
        line, wrong = tape.holes[0]
        lines.append(
            f"{name}, line {line}: {wrong} ({len(tape.holes)} such lines); from there on snapshots are "
            "refused until the recording holds one"
        )
    if tape.left_out:
        lines.append(
            f"{name}, line {tape.left_out[0]}: no message of a stream and no snapshot "
            f"({len(tape.left_out)} such lines); left out"
        )
    return lines


def simulated_tapes(symbols: Sequence[str], *, seconds: float, seed: int, linked: bool) -> list[Tape]:
    """Simulate a book for each symbol, seeds counted up, 100 ms from one diff to the next."""
    from consilium.market.replay.simulated import simulated_recording

    snapshots = max(round(seconds * 1_000 / SIMULATED_MS) + 1, 2)
    return [
        Tape(symbol, simulated_recording(symbol, snapshots=snapshots, seed=seed + i, linked=linked))
        for i, symbol in enumerate(symbols)
    ]


def named_tapes(tapes: Sequence[Tape], symbols: Sequence[str] | None) -> dict[str, Tape]:
    """Give each name a tape, in turn; without names each tape has its own.

    Raises
    ------
    UsageError
        Two tapes have the same name, or there are fewer names than tapes.
    """
    names = [tape.symbol for tape in tapes] if symbols is None else list(symbols)
    if len(set(names)) < len(names):
        raise UsageError("each symbol may be played once", ", ".join(names), "name them with --symbols")
    if len(names) < len(tapes):
        raise UsageError(
            "--symbols must name every recording", f"{len(names)} names for {len(tapes)}", "give more names"
        )
    return dict(zip(names, cycle(tapes)))


def serve(request: ReplayRequest, tell: Callable[[str], None]) -> Counter[str]:
    """Play everything once to whoever listens, tell the addresses, and return what happened.

    Ends when all was played and sent (with ``stays`` not even then), or at Ctrl-C.

    Raises
    ------
    UsageError
        aiohttp is not installed.
    OutputProblem
        The port is taken.
    """
    return asyncio.run(_serve(request, tell))


async def _serve(request: ReplayRequest, tell: Callable[[str], None]) -> Counter[str]:
    try:
        from consilium.market.replay.exchange import ReplayExchange
    except ModuleNotFoundError as error:
        raise missing_package("replay", error) from None
    exchange = ReplayExchange(
        request.tapes,
        market=request.market,
        speed=request.speed,
        faults=request.faults,
        seed=request.seed,
        port=request.port,
        now=time.time_ns if request.dated_now else None,
    )
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(exchange)
        except OSError as error:
            raise OutputProblem(
                "the port must be free", f"{request.port}: {error.strerror or error}", "choose another --port"
            ) from None
        with ends_on_signals(stop, lambda: "listeners were cut off"):
            tell(f"--rest-url {exchange.rest_url} --stream-url {exchange.stream_url}")
            await _first_of(stop, _played(exchange))
            if request.stays:
                await stop.wait()
    return exchange.fault_counts


async def _played(exchange: "ReplayExchange") -> None:
    """Wait until all was played and what waited in the queues is on its way."""
    await exchange.finished.wait()
    begun = time.monotonic()
    while exchange.pending and time.monotonic() < begun + LONGEST_DRAIN_S:
        await asyncio.sleep(0.05)
    await asyncio.sleep(LAST_WORD_S)


async def _first_of(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
