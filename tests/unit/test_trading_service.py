from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from consilium.domain import (
    HOUR_NS,
    Direction,
    Fill,
    Instrument,
    InvalidValue,
    Order,
    OrderEvent,
    OrderKind,
    Policy,
    PortfolioSnapshot,
)
from consilium.trading.broker import PaperBroker
from consilium.trading.execution import CostModel
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import RiskGate
from consilium.trading.service import TradingService
from consilium.trading.strategy import Strategy
from trading_bars import QUIET, Row, consensus, fills, warmed

UP, DOWN, FLAT = Direction.UP, Direction.DOWN, Direction.FLAT
PLAIN = CostModel(half_spread=0.0, impact_coefficient=0.0, fee_scale=0.0)


class Floor:
    """A service fed hour by hour: a bar, then perhaps a consensus at its close."""

    def __init__(self, *, horizon: int = 3, policy: Policy | None = None, cash: float = 10_000.0) -> None:
        self.service = TradingService(
            PaperBroker(cash, PLAIN),
            Portfolio(cash),
            RiskGate(policy or Policy()),
            Strategy(horizon=horizon),
            keep_trades=True,
        )
        self.hour = 0
        self.heard: list[object] = []
        for _ in range(20):
            self.hour_of(QUIET)

    def hour_of(self, row: Row, move: Direction | None = None) -> list[object]:
        """Close a bar, hear a consensus, end the instant; return what came of it but the snapshot."""
        heard: list[object] = []
        bars = warmed([row])
        candle = replace(bars.candle(20), ts_open=self.hour * HOUR_NS, ts_close=(self.hour + 1) * HOUR_NS)
        self.hour += 1
        heard.extend(self.service.handle(candle))
        if move is not None:
            heard.extend(self.service.handle(consensus("BTCUSDT", self.hour * HOUR_NS, move)))
        heard.extend(self.service.finish())
        self.heard.extend(heard)
        return [m for m in heard if not isinstance(m, PortfolioSnapshot)]

    @property
    def stops(self) -> list[Order]:
        return [o for o in self.service.broker.open_orders().values() if o.kind is OrderKind.STOP]


def kinds(messages: Iterable[object]) -> list[str]:
    return [type(m).__name__ for m in messages]


def exits(messages: Sequence[object]) -> list[str]:
    return [m.cause_id.split(":")[0] for m in messages if isinstance(m, Order) and m.reduce_only]


def test_an_actionable_up_opens_long_at_the_next_open_with_a_stop_two_true_ranges_below() -> None:
    floor = Floor()
    sent = floor.hour_of(QUIET, UP)
    assert kinds(sent) == ["Order", "OrderEvent"]
    heard = floor.hour_of((103.0, 104.0, 102.0, 103.0))
    (fill,) = fills(heard)
    assert [fill.price, fill.quantity] == pytest.approx([103.0, 0.02 * 10_000 / 4.0])
    (stop,) = floor.stops
    assert stop.reduce_only
    assert stop.stop_price == pytest.approx(99.0)
    assert stop.quantity == fill.quantity


def test_what_is_not_actionable_or_flat_does_nothing() -> None:
    floor = Floor()
    assert floor.hour_of(QUIET, FLAT) == []
    assert floor.hour_of(QUIET, DOWN) == []
    quiet = consensus("BTCUSDT", floor.hour * HOUR_NS, UP, actionable=False)
    assert list(floor.service.handle(quiet)) == []


def test_a_position_lasts_its_horizon_in_bars() -> None:
    floor = Floor(horizon=3)
    floor.hour_of(QUIET, UP)
    assert exits(floor.hour_of(QUIET)) == ["protect"]
    assert exits(floor.hour_of(QUIET)) == []
    assert exits(floor.hour_of(QUIET)) == ["horizon"]
    heard = floor.hour_of((102.0, 103.0, 101.0, 102.0))
    assert [f.price for f in fills(heard)] == [102.0]
    assert floor.service.broker.positions() == {}
    assert floor.stops == []
    (done,) = floor.service.trades
    assert done.ts_exit - done.ts_entry == 3 * HOUR_NS


def test_an_up_while_long_starts_the_horizon_again_without_a_trade() -> None:
    floor = Floor(horizon=3)
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET)
    floor.hour_of(QUIET)
    assert floor.hour_of(QUIET, UP) == []
    assert floor.hour_of(QUIET) == []
    assert floor.hour_of(QUIET) == []
    assert exits(floor.hour_of(QUIET)) == ["horizon"]


def test_the_opposite_signal_closes() -> None:
    floor = Floor(horizon=9)
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET)
    assert exits(floor.hour_of(QUIET, DOWN)) == ["opposite"]
    assert len(fills(floor.hour_of(QUIET))) == 1
    assert floor.service.portfolio.holdings == {}


def test_a_hold_keeps_the_position() -> None:
    floor = Floor(horizon=9)
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET)
    assert floor.hour_of(QUIET, FLAT) == []
    assert len(floor.service.portfolio.holdings) == 1


def test_the_stop_works_in_the_very_bar_of_the_entry() -> None:
    floor = Floor()
    floor.hour_of(QUIET, UP)
    first, second = fills(floor.hour_of((100.0, 101.0, 90.0, 92.0)))
    assert [first.price, second.price] == pytest.approx([100.0, 96.0])
    assert floor.service.broker.open_orders() == {}


def test_a_stop_that_finds_too_little_volume_is_placed_again_and_the_rest_leaves_at_the_next_open() -> None:
    floor = Floor()
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET)
    heard = floor.hour_of((100.0, 101.0, 95.5, 97.0, 1_000.0))
    assert [f.quantity for f in fills(heard)] == [10.0]
    assert [s.quantity for s in floor.stops] == [40.0]
    assert exits(heard)[-1] == "stop"
    heard = floor.hour_of((97.0, 98.0, 96.5, 97.0))
    assert [(f.quantity, f.price) for f in fills(heard)] == [(40.0, 97.0)]
    assert floor.service.broker.open_orders() == {}
    assert len(floor.service.trades) == 1


def test_an_exit_that_finds_too_little_volume_is_sent_again() -> None:
    floor = Floor(horizon=9)
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET, DOWN)
    heard = floor.hour_of((*QUIET, 1_000.0))
    assert [f.quantity for f in fills(heard)] == [10.0]
    assert [s.quantity for s in floor.stops] == [40.0]
    assert [f.quantity for f in fills(floor.hour_of(QUIET))] == [40.0]
    assert floor.service.broker.open_orders() == {}


def test_a_down_before_the_fill_withdraws_the_entry() -> None:
    floor = Floor()
    floor.hour_of(QUIET, UP)
    events = list(floor.service.handle(consensus("BTCUSDT", floor.hour * HOUR_NS, DOWN)))
    assert [e.reason for e in events if isinstance(e, OrderEvent)] == ["cancelled_by_owner"]
    assert fills(floor.hour_of(QUIET)) == []


def test_no_entry_before_the_true_range_is_known() -> None:
    floor = Floor()
    floor.service.handle(
        replace(warmed([QUIET]).candle(0), symbol="NEW", ts_open=19 * HOUR_NS, ts_close=20 * HOUR_NS)
    )
    floor.service.handle(consensus("NEW", 20 * HOUR_NS, UP))
    assert floor.service.gate.refusals["no_stop_distance"] == 1


@pytest.mark.promise("001", "stop_loss_multiplier of a risk adjustment")
def test_a_tighter_multiplier_moves_the_live_stop_up_and_never_down() -> None:
    floor = Floor(horizon=9)
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET)
    assert [s.stop_price for s in floor.stops] == [pytest.approx(96.0)]
    list(floor.service.handle(Policy(stop_multiplier=0.5)))
    assert [s.stop_price for s in floor.stops] == [pytest.approx(98.0)]
    list(floor.service.handle(Policy(stop_multiplier=1.0)))
    assert [s.stop_price for s in floor.stops] == [pytest.approx(98.0)]


def test_a_stop_that_was_not_allowed_is_placed_as_soon_as_it_is() -> None:
    floor = Floor(policy=Policy(protective_stop=False), horizon=9)
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET)
    assert floor.stops == []
    assert floor.service.gate.refusals["protective_stop_not_allowed"] == 1
    list(floor.service.handle(Policy()))
    assert [s.stop_price for s in floor.stops] == [pytest.approx(96.0)]


def test_without_the_right_to_exit_the_strategy_waits_and_the_stop_still_works() -> None:
    floor = Floor(policy=Policy(strategy_exit=False), horizon=1)
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET)
    assert floor.hour_of(QUIET) == []
    assert floor.service.gate.refusals["strategy_exit_not_allowed"] == 2
    assert len(fills(floor.hour_of((100.0, 101.0, 90.0, 91.0)))) == 1


def test_paused_entries_leave_positions_alone() -> None:
    floor = Floor(horizon=9)
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET)
    list(floor.service.handle(Policy(entry=False, max_exposure=0.01, max_leverage=0.0)))
    assert floor.hour_of(QUIET, UP) == []
    assert len(floor.service.portfolio.holdings) == 1
    assert len(floor.stops) == 1


def test_old_and_foreign_messages_change_nothing_and_are_counted() -> None:
    floor = Floor()
    service = floor.service
    before = service.portfolio.snapshot(floor.hour * HOUR_NS)
    list(service.handle(warmed([QUIET]).candle(3)))
    list(service.handle(warmed([QUIET]).candle(19)))
    list(service.handle(consensus("BTCUSDT", 3 * HOUR_NS, UP)))
    list(service.handle(consensus("ETHUSDT", floor.hour * HOUR_NS, UP)))
    list(service.handle(consensus("BTCUSDT", floor.hour * HOUR_NS + 1, UP)))
    assert dict(service.refused_messages) == {
        "stale_candle": 2,
        "stale_consensus": 1,
        "no_bar_at_consensus": 2,
    }
    assert service.portfolio.snapshot(floor.hour * HOUR_NS) == before


def test_an_instant_ends_by_itself_when_a_later_message_arrives() -> None:
    floor = Floor(horizon=1)
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET)
    bars = warmed([QUIET] * 9)
    list(floor.service.handle(bars.candle(22)))
    heard = list(floor.service.handle(bars.candle(23)))
    assert kinds(heard) == ["PortfolioSnapshot"]
    assert floor.service.portfolio.holdings == {}


def test_a_deposit_reaches_broker_and_books() -> None:
    floor = Floor()
    floor.service.deposit(500.0)
    floor.hour_of(QUIET, UP)
    floor.hour_of(QUIET)
    assert floor.service.portfolio.nav == pytest.approx(1.0)
    assert floor.service.portfolio.holdings["BTCUSDT"].quantity == pytest.approx(0.02 * 10_500 / 4.0)


def test_books_that_start_apart_are_refused() -> None:
    with pytest.raises(InvalidValue, match="must start with the broker's cash"):
        TradingService(PaperBroker(1.0), Portfolio(2.0), RiskGate(Policy()), Strategy(horizon=1))


def test_snapshots_carry_the_position_and_its_stop() -> None:
    floor = Floor(horizon=9)
    floor.hour_of(QUIET, UP)
    floor.hour_of((100.0, 105.0, 99.0, 104.0))
    last = floor.heard[-1]
    assert isinstance(last, PortfolioSnapshot)
    assert last.equity == pytest.approx(10_000 + 50 * 4.0)
    assert last.positions["BTCUSDT"].stop == pytest.approx(96.0)
    assert last.exposure == pytest.approx(50 * 104.0 / last.equity)


def test_lots_too_small_to_trade_are_rejected_by_the_broker_and_forgotten() -> None:
    service = TradingService(
        PaperBroker(10_000.0),
        Portfolio(10_000.0),
        RiskGate(Policy()),
        Strategy(horizon=2),
        instruments={"BTCUSDT": Instrument(symbol="BTCUSDT", lot_size=1_000.0)},
    )
    bars = warmed([QUIET] * 3)
    heard: list[object] = []
    for i in range(len(bars)):
        heard.extend(service.handle(bars.candle(i)))
        heard.extend(service.handle(consensus("BTCUSDT", int(bars.ts_close[i]), UP)))
    assert {e.reason for e in heard if isinstance(e, OrderEvent)} == {"below_lot"}
    assert not [m for m in heard if isinstance(m, Fill)]
    assert service.broker.open_orders() == {}


def test_a_horizon_below_one_bar_is_refused() -> None:
    with pytest.raises(InvalidValue, match="horizon must be >= 1; got 0"):
        Strategy(horizon=0)
