"""Beats at fixed times, whatever is done between them."""

from collections.abc import Callable, Iterator
from threading import Event

import pytest

from consilium.app.live.beat import beats
from consilium.app.live.feeds import WARM_UP_BARS
from consilium.domain import UsageError
from consilium.market.features import feature_names, warm_up
from consilium.models import FORECASTERS, make_forecaster


class Stop(Event):
    """Waits in a time of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass."""
        assert timeout is not None
        self.now += timeout
        return self.is_set()


def beaten(stop: Stop, *works: float) -> Iterator[float]:
    """Yield when each beat came, where what is done then takes so long."""
    clock: Callable[[], float] = lambda: stop.now  # noqa: E731 - as short as it is
    for work, _ in zip(works, beats(stop, 10.0, clock), strict=False):
        yield stop.now
        stop.now += work


def test_beats_do_not_drift_by_what_is_done_at_them() -> None:
    assert list(beaten(Stop(), 3.0, 9.0, 0.0, 1.0)) == [110.0, 120.0, 130.0, 140.0]


def test_beats_that_were_missed_are_left_out() -> None:
    assert list(beaten(Stop(), 25.0, 1.0, 10.0, 1.0)) == [110.0, 140.0, 150.0, 160.0]


def test_no_beat_comes_after_the_stop() -> None:
    stop = Stop()
    stop.set()
    assert list(beaten(stop, 1.0)) == []


@pytest.mark.parametrize("name", FORECASTERS)
def test_every_model_can_speak_at_the_first_step_after_the_warm_up(name: str) -> None:
    try:
        window = make_forecaster(name).window
    except UsageError:
        pytest.skip("its library is not installed")
    assert warm_up(feature_names("candle62")) + window - 1 <= WARM_UP_BARS + 1
