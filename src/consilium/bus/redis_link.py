"""A connection to Redis that may be lost and found again: it never raises, it says what is wrong."""

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from consilium.domain import UsageError, missing_package

T = TypeVar("T")
_log = logging.getLogger(__name__)


class RedisLink:
    """Runs commands on a Redis; while it is away they answer with what was given for that case.

    Parameters
    ----------
    url
        ``redis://[user:password@]host:port/db``, ``rediss://...`` (TLS) or ``unix://path``.
    first_wait_s, longest_wait_s
        After a failure nothing is tried for this long, doubled with each further failure.
    connections
        At most so many at once; more wait for one.

    Raises
    ------
    UsageError
        A URL that is none of these, or the package ``redis`` is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        first_wait_s: float = 0.05,
        longest_wait_s: float = 2.0,
        timeout_s: float = 3.0,
        connections: int = 16,
    ) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ModuleNotFoundError as error:
            raise missing_package("redis_url", error) from None
        self.where = shown_url(url)
        self._faults = (redis.RedisError, OSError)
        self._refusals = (redis.ResponseError,)
        try:
            pool = redis.BlockingConnectionPool.from_url(
                url,
                max_connections=connections,
                timeout=timeout_s,
                socket_timeout=timeout_s,
                socket_connect_timeout=min(timeout_s, 2.0),
                retry=Retry(NoBackoff(), 0),  # waiting is this class's business
                protocol=2,
            )
        except (ValueError, UnicodeError):
            raise UsageError(
                "redis_url must be redis://host:port/db, rediss://... or unix://path",
                self.where,
                "correct CONSILIUM_REDIS_URL",
            ) from None
        self._client: Any = redis.Redis(connection_pool=pool)
        self._first_wait_s, self._longest_wait_s = first_wait_s, longest_wait_s
        self._lock = threading.Lock()
        self._wait_s = 0.0
        self._next_try = 0.0
        self.problem = ""
        self.times_lost = 0

    def call(self, work: Callable[[Any], T], otherwise: T, *, persistent: bool = False) -> T:
        """Run ``work`` on a client; return ``otherwise`` where Redis is away or refuses it.

        Parameters
        ----------
        persistent
            Try even if the last failure was a moment ago.
        """
        if not persistent and time.monotonic() < self._next_try:
            return otherwise
        try:
            answer = work(self._client)
        except self._refusals as error:
            # it answered, so it is there: what it says about this command is told and nothing is waited for
            self._note(f"redis at {self.where} refuses: {_one_line(error)}", lost=False)
            return otherwise
        except self._faults as error:
            told = _one_line(error) or type(error).__name__
            self._note(f"redis at {self.where} does not answer ({told}): start it", lost=True)
            return otherwise
        self._note("", lost=False)
        return answer

    def _note(self, problem: str, *, lost: bool) -> None:
        with self._lock:
            before, self.problem = self.problem, problem
            if lost:
                self._wait_s = min(max(2 * self._wait_s, self._first_wait_s), self._longest_wait_s)
                self._next_try = time.monotonic() + self._wait_s
                self.times_lost += not before
            else:
                self._wait_s = self._next_try = 0.0
        if problem and not before:
            _log.warning("%s", problem)
        if before and not problem:
            _log.info("redis at %s answers again", self.where)

    def wait_s(self) -> float:
        """How long nothing is tried yet, in seconds."""
        return max(0.0, self._next_try - time.monotonic())

    def healthy(self) -> str:
        """Ask it now: empty, or in one line what is wrong."""
        self.call(lambda client: bool(client.ping()), otherwise=False)
        return self.problem

    def warnings(self) -> list[str]:
        """What is set in a way that loses data, a line each; nothing while it is away."""
        told: dict[str, Any] = self.call(
            lambda client: {**client.info("persistence"), **client.info("memory")}, otherwise={}
        )
        found = []
        if told.get("aof_enabled") == 0:
            found.append(
                f"redis at {self.where} has appendonly no: killed, it forgets all, and the journal has to be "
                "replayed into it; set appendonly yes"
            )
        policy = str(told.get("maxmemory_policy", "noeviction"))
        if told.get("maxmemory") and policy != "noeviction":
            found.append(
                f"redis at {self.where} has maxmemory-policy {policy}: it may drop keys; set noeviction"
            )
        return found

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()
        self._client.connection_pool.disconnect()


def shown_url(url: str) -> str:
    """Return a URL as it may be shown: without user, password and query.

    Examples
    --------
    >>> shown_url("redis://user:secret@db.example:6379/0?password=secret")
    'db.example:6379/0'
    >>> shown_url("unix:///run/redis.sock"), shown_url("secret")
    ('/run/redis.sock', 'unknown')
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "unknown"
    if not parts.scheme:
        return "unknown"
    return (parts.netloc.rpartition("@")[2] + parts.path) or "unknown"


def _one_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()[:200]
