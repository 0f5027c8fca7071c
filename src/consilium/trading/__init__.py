"""From consensus to fills inside the limits: risk gate, broker, portfolio, backtest."""

from consilium.trading.backtest import BacktestResult, prepare, run_backtest
from consilium.trading.book.backtest import run_book_backtest
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.execution import BookExecution
from consilium.trading.books import UnitBook, run_unit_book
from consilium.trading.broker import PaperBroker
from consilium.trading.execution import CostModel, round_trip_cost
from consilium.trading.holdings import Trade
from consilium.trading.metrics import Metrics, buy_and_hold, measure
from consilium.trading.patience import Stranding
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import RiskGate
from consilium.trading.service import TradingService
from consilium.trading.signals import SignalSeries
from consilium.trading.strategy import Strategy

__all__ = [
    "BacktestResult",
    "BookBroker",
    "BookExecution",
    "CostModel",
    "Metrics",
    "PaperBroker",
    "Portfolio",
    "RiskGate",
    "SignalSeries",
    "Stranding",
    "Strategy",
    "Trade",
    "TradingService",
    "UnitBook",
    "buy_and_hold",
    "measure",
    "prepare",
    "round_trip_cost",
    "run_backtest",
    "run_book_backtest",
    "run_unit_book",
]
