"""Signs of life in a real Valkey, which forgets those that no other follows."""

import time
from collections.abc import Callable

from consilium.bus.signs import Signs
from real_servers import RealValkey

NAMES = ("market", "ensemble")


def test_a_sign_of_life_is_forgotten_where_no_other_follows(fresh_valkey: str) -> None:
    signs = Signs(fresh_valkey, lasts_s=0.2)
    try:
        assert signs.seen(NAMES) == {"market": None, "ensemble": None}
        assert signs.give("market", "no candles")
        assert signs.give("ensemble")
        assert signs.seen(NAMES) == {"market": "no candles", "ensemble": ""}
        signs.take_back("market")
        assert signs.seen(NAMES) == {"market": None, "ensemble": ""}
        until = time.monotonic() + 10.0
        while signs.seen(NAMES) != {"market": None, "ensemble": None}:
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        signs.close()


def test_of_a_redis_that_is_away_nothing_is_known(start_valkey: Callable[..., RealValkey]) -> None:
    server = start_valkey()
    signs = Signs(server.url)
    try:
        assert signs.give("market")
        server.kill()
        assert signs.give("market") is False
        assert signs.seen(NAMES) is None
    finally:
        signs.close()
