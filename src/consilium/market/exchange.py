"""A patient client of an exchange's public candles: paced, retried, pointed elsewhere if asked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import DataProblem, InvalidValue, UnknownName, UsageError
from consilium.domain.time import MS_NS, SECOND_NS

PAGE = 1000
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 120.0
LONGEST_BAN_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A request that got no answer and is made again after a pause; its text is one line.

    Parameters
    ----------
    exchange, said
        Who was asked, and what came instead of an answer.
    tried, attempts
        Which try failed, counted from 1, and how many there are.
    pause_s
        Seconds until the next.
    """

    exchange: str
    said: str
    tried: int
    attempts: int
    pause_s: float

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"{self.exchange} gave no answer at try {self.tried} of {self.attempts} ({self.said}); "
            f"asking again in {self.pause_s:g} s"
        )


class ExchangeClient:
    """Candles and markets of one exchange through ccxt, which is loaded here and nowhere else.

    A request that meets a network fault, a 5xx answer or a rate limit is tried again after a pause that
    doubles from 1 s to 2 min, or after as long as the exchange says in Retry-After.

    Parameters
    ----------
    name
        The exchange as ccxt names it. Tested against Binance's interface.
    base_url
        Where to send the requests instead of to the exchange, for example ``http://127.0.0.1:8080``.
    timeout_s
        For one request, seconds.
    pace_ms
        Least time between requests of weight 1; what the exchange publishes if None.
    attempts
        How often a request is tried, >= 1.
    sleep
        How to wait between tries.
    retry
        Called before each wait.

    Raises
    ------
    UsageError
        ccxt is not installed.
    UnknownName
        No such exchange.
    """

    def __init__(
        self,
        name: str = "binance",
        *,
        base_url: str | None = None,
        timeout_s: float = 20.0,
        pace_ms: float | None = None,
        attempts: int = 8,
        sleep: Callable[[float], None] = time.sleep,
        retry: Callable[[Retry], None] | None = None,
    ) -> None:
        if attempts < 1:
            raise InvalidValue("attempts must be >= 1", attempts, "try at least once")
        try:
            import ccxt
        except ImportError as error:
            raise UsageError(
                "downloading needs the exchange client ccxt",
                "no such package",
                "install it: pip install 'consilium[exchange]'",
            ) from error
        if name not in ccxt.exchanges:
            raise UnknownName("exchange", name, ccxt.exchanges)
        self.name = name
        self.requests = 0
        self.retries = 0
        self._attempts = attempts
        self._sleep = sleep
        self._tell = retry
        self._temporary: type[Exception] = ccxt.OperationFailed
        self._refusal: type[Exception] = ccxt.BaseError
        self._exchange: Any = getattr(ccxt, name)({"enableRateLimit": True, "timeout": int(timeout_s * 1000)})
        # Only spot candles are asked for; the lists of futures would cost two more requests.
        self._exchange.options["fetchMarkets"] = {"types": ["spot"]}
        if pace_ms is not None:
            self._exchange.rateLimit = pace_ms
        if base_url is not None:
            self._exchange.urls["api"] = _moved(self._exchange.urls["api"], base_url.rstrip("/"))

    def __enter__(self) -> "ExchangeClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._exchange.session is not None:
            self._exchange.session.close()

    def interval_ns(self, interval: str) -> int:
        """Return the length of a bar that the exchange offers, such as ``1h``; months are refused."""
        offered = [known for known in self._exchange.timeframes if not known.endswith("M")]
        if interval not in offered:
            raise UnknownName("interval", interval, offered)
        return int(self._exchange.parse_timeframe(interval)) * SECOND_NS

    def now(self) -> int:
        """Return the exchange's own time in UTC nanoseconds."""
        return int(self._ask(self._exchange.fetch_time)) * MS_NS

    def spot_pairs(self, quote: str) -> dict[str, str]:
        """Return the spot pairs against one currency, delisted ones that are still named too."""
        markets = self._ask(self._exchange.load_markets)
        return {
            f"{market['base']}{market['quote']}": str(market["symbol"])
            for market in markets.values()
            if market.get("spot") and market.get("quote") == quote
        }

    def candles(self, pair: str, interval: str, since: int, until: int) -> NDArray[np.float64]:
        """Return up to a page of bars that open in [since, until), oldest first.

        Returns
        -------
        numpy.ndarray
            Shape (n, 6): opening time in milliseconds, open, high, low, close, volume.
        """
        rows = self._ask(
            self._exchange.fetch_ohlcv,
            pair,
            interval,
            since=-(-since // MS_NS),
            limit=PAGE,
            params={"until": (until - 1) // MS_NS},
        )
        page = np.array([row[:6] for row in rows], dtype=np.float64).reshape(-1, 6)
        page = page[(page[:, 0] >= since / MS_NS) & (page[:, 0] < until / MS_NS)]
        return page[np.unique(page[:, 0], return_index=True)[1]]

    def _ask(self, call: Callable[..., Any], *args: object, **kwargs: object) -> Any:
        """Call until an answer comes; say in the end what the exchange said."""
        for tried in range(1, self._attempts + 1):
            self.requests += 1
            try:
                return call(*args, **kwargs)
            except self._temporary as error:
                if tried == self._attempts:
                    raise self._no_answer(error, tried) from error
                self._wait(error, tried)
            except self._refusal as error:
                raise DataProblem(
                    f"{self.name} must answer", _said(error), "check the symbol, the interval and the dates"
                ) from error
        raise AssertionError("unreachable")

    def _wait(self, error: Exception, tried: int) -> None:
        pause = self._pause(error, tried)
        self.retries += 1
        if self._tell is not None:
            self._tell(
                Retry(
                    exchange=self.name,
                    said=_said(error),
                    tried=tried,
                    attempts=self._attempts,
                    pause_s=pause,
                )
            )
        self._sleep(pause)

    def _pause(self, error: Exception, tried: int) -> float:
        headers = self._exchange.last_response_headers or {}
        told = next((value for key, value in headers.items() if key.lower() == "retry-after"), None)
        self._exchange.last_response_headers = {}
        pause = min(FIRST_PAUSE_S * 2.0 ** (tried - 1), LONGEST_PAUSE_S)
        if told is None or not str(told).strip().isdigit():
            return pause
        if float(told) > LONGEST_BAN_S:
            raise self._no_answer(error, tried) from error
        return max(float(told), pause)

    def _no_answer(self, error: Exception, tried: int) -> DataProblem:
        return DataProblem(
            f"{self.name} must answer",
            f"{_said(error)} at try {tried}",
            "run the same command again later; it goes on after the last stored bar",
        )


def _said(error: Exception) -> str:
    return f"{type(error).__name__} {' '.join(str(error).split())[:200]}"


def _moved(urls: object, base: str) -> Any:
    """Return the same addresses with another scheme and host, whatever the nesting."""
    if isinstance(urls, dict):
        return {key: _moved(value, base) for key, value in urls.items()}
    return base + urlsplit(str(urls)).path
