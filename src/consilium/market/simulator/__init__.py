"""Seeded markets in which the truth is known: candles, and order books with their trades."""

from consilium.market.simulator.books import SimulatedBook, simulate_book
from consilium.market.simulator.candles import KINDS, START_TS, Habits, Simulation, simulate
from consilium.market.simulator.falls import simulate_falls
from consilium.market.simulator.habits import BookHabits
from consilium.market.simulator.recordings import SimulatedBooks

__all__ = [
    "KINDS",
    "START_TS",
    "BookHabits",
    "Habits",
    "SimulatedBook",
    "SimulatedBooks",
    "Simulation",
    "simulate",
    "simulate_book",
    "simulate_falls",
]
