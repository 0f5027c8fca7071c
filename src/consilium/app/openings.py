"""Registers what a run reads of the future, right before it reads it."""

from collections.abc import Iterable

from consilium.app.observe import Observed
from consilium.domain import to_iso
from consilium.training.runs import Opening, Run, market_of

LISTED = 5


def open_outcomes(
    run: Run,
    observed: Observed,
    *,
    seed: int,
    first: int | None = None,
    last: int | None = None,
    symbols: Iterable[str] | None = None,
) -> tuple[Opening, ...]:
    """Write down that a run now reads the outcomes of forecasts made in [first, last].

    Parameters
    ----------
    run
        The run that reads.
    observed
        What it reads from.
    seed
        Of the simulator.
    first, last
        UTC nanoseconds, both included; None means from the first close or to the last one.
    symbols
        Which of them; None means all.

    Returns
    -------
    What other runs have read of it before, oldest first.
    """
    panel = observed.panel
    return run.open_slice(
        market=market_of(observed.source, seed),
        interval_ns=next(iter(panel.values())).interval_ns,
        first=min(int(s.ts_close[0]) for s in panel.values()) if first is None else first,
        last=max(int(s.ts_close[-1]) for s in panel.values()) if last is None else last,
        symbols=tuple(panel if symbols is None else symbols),
    )


def told(earlier: tuple[Opening, ...], config_hash: str) -> str:
    """Say how often these outcomes were read before, and by which runs.

    Parameters
    ----------
    earlier
        What `open_outcomes` returned.
    config_hash
        Of the run that opens now, so that a repetition is named as one.
    """
    runs = {o.run_id: o for o in earlier}
    if not runs:
        return "These outcomes were not read by any earlier run of this table."
    newest = list(runs.values())[-LISTED:]
    named = ", ".join(f"{o.kind} {o.run_id} of {to_iso(o.ts_started)}" for o in newest)
    more = f" and {len(runs) - LISTED} before" if len(runs) > LISTED else ""
    same = sum(o.config_hash == config_hash for o in runs.values())
    again = f"; {same} of them with this very registration" if same else ""
    times = "once" if len(runs) == 1 else f"by {len(runs)} runs"
    return f"Outcomes of this slice were read before {times}: {named}{more}{again}."
