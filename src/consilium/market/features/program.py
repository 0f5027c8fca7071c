"""Terms put in an order in which each comes after its parts, and run over all bars of a series."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from consilium.market.features.operation import FloatArray, Operation
from consilium.market.features.term import SOURCES, Term


@dataclass(frozen=True, slots=True)
class Line:
    """One operation: places of its inputs, the row of its first input, of its first value, what it frees."""

    operation: Operation
    inputs: tuple[int, ...]
    start: int
    lead: int
    spent: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """Lines in order; the first places hold the sources, the others the lines' values.

    Parameters
    ----------
    lines
        What to compute.
    outputs
        Place of each wanted term.
    leads
        Lead of each wanted term: rows before its first value.
    sources
        How many sources there are.
    plan
        Of each line the row of its first input and the places of its inputs, -1 for none: a step of two is
        called in half the time of one with a list unpacked, and all streams of a program share it.

    Examples
    --------
    >>> from consilium.market.features.term import CLOSE, lag
    >>> change = CLOSE - lag(CLOSE, 1)
    >>> len(compiled([change, change]).lines)
    2
    """

    lines: tuple[Line, ...]
    outputs: tuple[int, ...]
    leads: tuple[int, ...]
    sources: int = len(SOURCES)
    plan: tuple[tuple[int, int, int, int], ...] = ()

    def run(self, sources: Sequence[FloatArray]) -> FloatArray:
        """Return the wanted terms of all rows, shape (n, F), NaN before the first value of each."""
        rows = len(sources[0])
        values: list[Any] = [*sources, *([None] * len(self.lines))]
        result = np.full((rows, len(self.outputs)), np.nan)
        wanted: dict[int, list[int]] = {}
        for column, place in enumerate(self.outputs):
            if place < self.sources:
                result[:, column] = sources[place]
            wanted.setdefault(place, []).append(column)
        leads = [0] * len(values)
        for place, line in enumerate(self.lines, start=self.sources):
            if rows <= line.lead:
                continue
            leads[place] = line.lead
            inputs = (
                values[i] if leads[i] == line.start else values[i][line.start - leads[i] :]
                for i in line.inputs
            )
            values[place] = line.operation.block(*inputs)
            for column in wanted.get(place, ()):
                result[line.lead :, column] = values[place]
            for used in line.spent:
                values[used] = None
        return result


def compiled(terms: Sequence[Term], sources: Sequence[Term] = SOURCES) -> Program:
    """Put terms and all that they are made from in order, each once; sources come first."""
    order: dict[int, Term] = {id(term): term for term in sources}

    def visit(term: Term) -> None:
        if id(term) not in order:
            for part in term.inputs:
                visit(part)
            order[id(term)] = term

    for term in terms:
        visit(term)
    place = {key: i for i, key in enumerate(order)}
    made = [term for term in order.values() if term.operation is not None]
    last_use = {place[id(part)]: place[id(term)] for term in made for part in term.inputs}
    lines = []
    for term in made:
        here = place[id(term)]
        spent = tuple(i for i, last in last_use.items() if last == here and i >= len(sources))
        start = max(part.lead for part in term.inputs)
        inputs = tuple(place[id(part)] for part in term.inputs)
        if term.operation is not None:
            lines.append(Line(term.operation, inputs, start, term.lead, spent))
    return Program(
        tuple(lines),
        tuple(place[id(term)] for term in terms),
        tuple(term.lead for term in terms),
        len(sources),
        tuple(_planned(line) for line in lines),
    )


def _planned(line: Line) -> tuple[int, int, int, int]:
    first, second, third = (*line.inputs, -1, -1)[:3]
    return line.start, first, second, third
