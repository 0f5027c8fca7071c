"""What all tests share: one thread a library, shared data where present, hypothesis profiles."""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_variable, "1")

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from real_servers import fresh_postgres, fresh_valkey, postgres_url, start_valkey, valkey_url

settings.register_profile("default", deadline=None, derandomize=True, max_examples=60)
settings.register_profile(
    "soak", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("CONSILIUM_TEST_PROFILE", "default"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background has SIGINT ignored, and processes inherit that: those
    # that tests interrupt would not hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["fresh_postgres", "fresh_valkey", "postgres_url", "start_valkey", "valkey_url"]

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def _shared(relative: str) -> Path:
    path = SHARED_DATA / relative
    if not path.exists():
        pytest.skip(f"shared data is absent: {relative}")
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small trained models, once for all tests: copy it."""
    from live_cases import store_models

    folder = tmp_path_factory.mktemp("stored")
    store_models(folder)
    return folder


@pytest.fixture
def candles_1h() -> Path:
    """136 symbols of hourly candles; the test is skipped where they are absent."""
    return _shared("candles/binance_spot_1h.parquet")


@pytest.fixture
def candles_15m() -> Path:
    """136 symbols of 15-minute candles; the test is skipped where they are absent."""
    return _shared("candles/binance_spot_15m.parquet")


@pytest.fixture
def books_l20() -> Path:
    """The folder of recorded 20-level books and trades; the test is skipped where it is absent."""
    return _shared("books")
