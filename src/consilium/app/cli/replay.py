"""``consilium replay``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded
from consilium.domain import UnknownName, UsageError

if TYPE_CHECKING:
    from consilium.app.collecting.replaying import ReplayRequest

MARKETS = ("spot", "usdm", "coinm")
MOST_SYMBOLS = 1_000

Recordings = Annotated[
    list[Path] | None,
    typer.Argument(help="Recordings of raw streams, one symbol a file (.jsonl or .jsonl.gz)."),
]
Simulated = Annotated[bool, typer.Option("--simulated", help="Play simulated books instead of recordings.")]
Length = Annotated[str, typer.Option("--length", help="How long the simulated books are.")]
Market = Annotated[
    str | None,
    typer.Option("--market", help="spot, usdm or coinm; what the recording says (simulated: spot)."),
]
Names = Annotated[
    str | None,
    typer.Option(
        "--symbols",
        help="Names to play under, separated by commas, or how many (S000USDT, S001USDT, ...).",
    ),
]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port of the loopback address; 0: any.")]
Speed = Annotated[
    float, typer.Option("--speed", help="Recorded seconds a second; 0: as fast as it is taken.")
]
FaultShares = Annotated[
    str | None,
    typer.Option(
        "--faults",
        help="Shares of messages: drop, duplicate, delay (delay_s seconds), reorder, corrupt, disconnect; of "
        "requests: stale_snapshot, refuse_request. As in drop=0.001,disconnect=0.0001.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the faults and of simulated books.")]
Dates = Annotated[
    str | None,
    typer.Option(
        "--dates",
        help="now: the exchange's times are those of playing (default). recorded: as they were (speed 0).",
    ),
]
Stay = Annotated[bool, typer.Option("--stay", help="Go on answering after the end, until Ctrl-C.")]


@guarded
def replay(
    recordings: Recordings = None,
    simulated: Simulated = False,
    length: Length = "10m",
    market: Market = None,
    symbols: Names = None,
    port: Port = 0,
    speed: Speed = 1.0,
    faults: FaultShares = None,
    seed: Seed = 7,
    dates: Dates = None,
    stay: Stay = False,
) -> None:
    """Serve recorded or simulated order books as an exchange on loopback, for `consilium collect`."""
    if simulated == bool(recordings):
        raise UsageError(
            "replay needs recordings or --simulated",
            "both" if simulated else "neither",
            "name recorded streams, or write --simulated",
        )
    if market is not None and market not in MARKETS:
        raise UnknownName("market", market, MARKETS)
    if not 0.0 <= speed < float("inf"):
        raise UsageError("--speed must be >= 0", speed, "use 1 for the pace of the recording")
    request = _request(recordings or [], length, market, symbols, port, speed, faults, seed, dates, stay)
    _serve(request)


def _request(
    recordings: list[Path],
    length: str,
    market: str | None,
    symbols: str | None,
    port: int,
    speed: float,
    faults: str | None,
    seed: int,
    dates: str | None,
    stay: bool,
) -> "ReplayRequest":
    from consilium.app.collecting.amounts import read_seconds
    from consilium.app.collecting.replaying import (
        ReplayRequest,
        load_tape,
        named_tapes,
        read_faults,
        simulated_tapes,
        tape_warnings,
    )

    names, shares = _names(symbols), read_faults(faults)
    dated_now = _dated_now(dates, speed)
    if recordings:
        loaded = [load_tape(path) for path in recordings]
        markets = sorted({found for _, found in loaded})
        if market is None and len(markets) > 1:
            raise UsageError(
                "recordings must be of one market", ", ".join(markets), "serve each market by itself"
            )
        market = market or markets[0]
        tapes = [tape for tape, _ in loaded]
        for path, tape in zip(recordings, tapes, strict=True):
            for line in tape_warnings(path.name, tape):
                typer.echo(f"warning: {line}", err=True)
    else:
        market = market or "spot"
        tapes = simulated_tapes(
            names or ("SIM00USDT",),
            seconds=read_seconds("--length", length),
            seed=seed,
            linked=market != "spot",
        )
    return ReplayRequest(
        tapes=named_tapes(tapes, names),
        market=market,
        speed=speed,
        faults=shares,
        seed=seed,
        port=port,
        dated_now=dated_now,
        stays=stay,
    )


def _serve(request: "ReplayRequest") -> None:
    from consilium.app.collecting.replaying import serve

    names = list(request.tapes)
    told = ",".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    speed = f"{request.speed:g} x" if request.speed else "as fast as it is taken"
    typer.echo(f"Playing {told} ({request.seconds:,.0f} s) as {request.market}, {speed}, to who listens at")

    def tell(urls: str) -> None:
        collect = f"consilium collect --market {request.market} --symbols {','.join(names)}"
        typer.echo(f"{urls}\nto record it:\n{collect} {urls}")

    happened = serve(request, tell)
    faults = ", ".join(
        f"{name} {count:,}"
        for name, count in sorted(happened.items())
        if count and name not in ("played", "connections", "requests")
    )
    typer.echo(
        f"Played {happened['played']:,} messages to {happened['connections']:,} connections, answered "
        f"{happened['requests']:,} requests; faults: {faults or 'none'}"
    )


def _names(symbols: str | None) -> tuple[str, ...] | None:
    if symbols is None or not symbols.strip().isdigit():
        names = options.split_names(symbols)
        return None if names is None else tuple(name.upper() for name in names)
    count = int(symbols)
    if not 1 <= count <= MOST_SYMBOLS:
        raise UsageError(f"--symbols must lie in [1, {MOST_SYMBOLS}]", count, "give another number")
    return tuple(f"S{i:03d}USDT" for i in range(count))


def _dated_now(dates: str | None, speed: float) -> bool:
    if dates not in (None, "now", "recorded"):
        raise UnknownName("--dates", str(dates), ("now", "recorded"))
    if dates == "now" and not speed:
        raise UsageError("--dates now needs a --speed > 0", "0", "give a speed, or --dates recorded")
    return dates != "recorded" and speed > 0
