"""The command ``consilium worker``: one room of the service in a process of its own."""

import signal
import sys
from threading import Event as Flag
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from consilium.app.cli import serve as options
from consilium.app.cli.check import sound_settings
from consilium.app.cli.guard import guarded
from consilium.domain import UnknownName

if TYPE_CHECKING:
    from consilium.app.settings import Settings

Room = Annotated[str, typer.Argument(help="market, ensemble, trading, council or api.")]
ROOMS = ("market", "ensemble", "trading", "council", "api")


@guarded
def worker(
    room: Room,
    feed: options.Feed = None,
    symbols: options.Symbols = None,
    bar: options.Bar = None,
    speed: options.Speed = None,
    data_dir: options.DataDir = None,
    host: options.Host = None,
    port: options.Port = None,
) -> None:
    """Run one room over Redis Streams; all rooms share one journal and one data folder."""
    if room not in ROOMS:
        raise UnknownName("worker", room, ROOMS)
    given = options.given_of(
        feed=feed, symbols=symbols, bar=bar, speed=speed, data_dir=data_dir, host=host, port=port
    )
    from consilium.app.log import configure_logging, logger

    settings, warned = sound_settings(listens=room == "api", **given)
    configure_logging(settings)
    for found in warned:
        logger("consilium.check").warning(found.text, setting=found.setting)
    if room == "api":
        _answer(settings)
    else:
        _work(room, settings)
    sys.stderr.write("stopped: all that was concluded is in the journal\n")


def _work(room: str, settings: "Settings") -> None:
    from consilium.app.live import worker_assembly
    from consilium.app.live.hired import show_life

    stop = Flag()

    def ask(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    if room == "market":
        with worker_assembly.market_worker(settings) as system:
            sys.stderr.write(f"working: market (feed: {settings.live.feed or 'none'})\n")
            show_life(settings, room, lambda: worker_assembly.worries(system), stop, system.figures)
        return
    make = {
        "ensemble": worker_assembly.ensemble_worker,
        "trading": worker_assembly.trading_worker,
        "council": worker_assembly.council_worker,
    }
    hired = make[room](settings)
    sys.stderr.write(f"working: {room}\n")
    hired.run(stop)


def _answer(settings: "Settings") -> None:
    from consilium.app.api.frame import make_api
    from consilium.app.api.keys import KeyStore
    from consilium.app.api.server import ApiServer, bind
    from consilium.app.bootstrap import SystemClock
    from consilium.app.live.worker_assembly import mirror

    clock = SystemClock()
    given = settings.api_key.get_secret_value() if settings.api_key else None
    sock = bind(settings)
    keys = KeyStore(settings.data_dir, clock, given)
    system = mirror(settings)
    system.start()
    try:
        ApiServer(make_api(system, keys, settings), settings, options.Told(settings, keys)).serve_on(sock)
    except KeyboardInterrupt:
        pass  # asked to stop: the server has ended its connections by now
    finally:
        system.stop()
