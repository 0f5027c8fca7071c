"""What the trading service remembers, as JSON values, and how another one takes it up."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from consilium.domain import Order
from consilium.trading.broker import PaperBroker
from consilium.trading.desk import Desk
from consilium.trading.kept import Kept, order_state, read_order
from consilium.trading.patience import Stranding, Strandings, Waiting
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import RiskGate
from consilium.trading.tape import Tape


class ServiceState(Kept):
    """The memory of a `TradingService`: account, orders, stances and, unless shared, the tapes."""

    kept = ("_last_id", "_now", "_open", "_settled", "_shadowed", "_split_high")
    broker: PaperBroker
    portfolio: Portfolio
    gate: RiskGate
    strandings: Strandings
    refused_messages: Counter[str]
    _desks: dict[str, Desk]
    _sent: dict[str, Order]
    _waiting: Waiting
    _due: set[str]
    _now: int
    _shadowed: int
    _split_high: float

    def open_desk(self, tape: Tape) -> Desk:
        """Start to follow a symbol."""
        raise NotImplementedError

    def state(self, *, tapes: bool = True) -> dict[str, Any]:
        """Return all that the service remembers, as JSON values; settings are not part of it.

        Call it between instants, when all messages that were returned have been taken.

        Parameters
        ----------
        tapes
            Whether the bars are part of it; not where several services share them.
        """
        desks = [
            {
                "symbol": symbol,
                "interval_ns": desk.tape.interval_ns,
                "bars_per_day": desk.tape.bars_per_day,
                "stance": desk.stance.state(),
                "tape": desk.tape.state() if tapes else None,
            }
            for symbol, desk in self._desks.items()
        ]
        return super().state() | {
            "desks": desks,
            "broker": self.broker.state(),
            "portfolio": self.portfolio.state(),
            "gate": self.gate.state(),
            "sent": [order_state(order) for order in self._sent.values()],
            "waiting": self._waiting.state(),
            "due": sorted(self._due),
            "refused_messages": dict(self.refused_messages),
            "strandings": [[s.symbol, s.ts_event, s.ts_resumed] for s in self.strandings.records],
        }

    def restore(self, state: Mapping[str, Any], tapes: Mapping[str, Tape] | None = None) -> None:
        """Take up a state that ``state`` returned, in a service of the same settings.

        Parameters
        ----------
        state
            As it was returned.
        tapes
            Bars by symbol where they are shared and restored by their owner; None for those of the state.
        """
        super().restore(state)
        for saved in state["desks"]:
            symbol = saved["symbol"]
            desk = self._desks.get(symbol)
            if desk is None:
                tape = Tape(symbol, saved["interval_ns"], saved["bars_per_day"])
                desk = self.open_desk(tape if tapes is None else tapes[symbol])
            if tapes is None:
                desk.tape.restore(saved["tape"])
            desk.stance.restore(saved["stance"])
        self._desks = {saved["symbol"]: self._desks[saved["symbol"]] for saved in state["desks"]}
        self.broker.restore(state["broker"])
        self.portfolio.restore(state["portfolio"])
        self.gate.restore(state["gate"])
        for symbol, desk in self._desks.items():
            desk.holding = self.portfolio.holdings.get(symbol)
        self._sent = {order.order_id: order for order in map(read_order, state["sent"])}
        self._waiting.restore(state["waiting"], {symbol: desk.tape for symbol, desk in self._desks.items()})
        self._due = set(state["due"])
        self.refused_messages = Counter(state["refused_messages"])
        self.strandings.records = [
            Stranding(symbol=symbol, ts_event=ts, ts_resumed=resumed)
            for symbol, ts, resumed in state["strandings"]
        ]
