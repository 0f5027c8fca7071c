"""Commands to a living system: journaled once they are applied, refused, cut off from their answer."""

from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from consilium.app.live.feeds import PanelFeed
from consilium.bus.journal.store import SqlJournal
from consilium.domain import ConsiliumError, DataProblem, OutcomeUnknown, RuleChanged, UnknownName
from consilium.domain.time import HOUR_NS
from consilium.market.simulator import simulate
from live_system_cases import ended, system_of, until


def test_a_command_is_journaled_once_it_is_applied_and_survives(tmp_path: Path) -> None:
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        head = system.journal.head().offset
        with pytest.raises(UnknownName):
            system.submit(RuleChanged(rule="loudest", by="ann", ts_event=1), by="ann")
        assert system.journal.head().offset == head
        event = system.submit(RuleChanged(rule="majority", by="ann", ts_event=2), by="ann", trace_id="t1")
        assert (event.topic, event.trace_id) == ("ensemble.rule_changed", "t1")
        found = system.journal.find(event.event_id)
        assert found is not None
        before = system.state_hash()
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        assert system.engine.status()["strategy"] == "majority"
        assert system.state_hash() == before


def test_the_account_is_shown_as_it_stood_when_a_step_was_done(tmp_path: Path) -> None:
    shown: list[object] = []
    bars = simulate(symbols=1, bars=4, seed=5).series
    with system_of(tmp_path, PanelFeed("odd", bars, speed=0.0)) as system:
        until(lambda: "engine" not in system.troubles)
        ended(system)
        before = system.trading_status()
        accounts: Any = system.pipeline.accounts
        step = accounts.step

        def moved(*given: Any) -> Any:
            said = step(*given)
            accounts.trading.portfolio.consecutive_losses += 3
            shown.append(system.trading_status())
            return said

        accounts.step = moved
        (symbol,) = bars
        last = bars[symbol].candle(3)
        ts = last.ts_close + HOUR_NS
        system.take((replace(last, ts_open=last.ts_close, ts_close=ts),))
        assert shown == [before]
        after = system.trading_status()
    assert after["consecutive_losses"] == before["consecutive_losses"] + 3
    assert after["ts_event"] == ts


def test_a_command_is_refused_where_its_turn_does_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consilium.app.live.system.COMMAND_WAIT_S", 0.1)
    gate = Flag()
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        head, before = system.journal.head().offset, system.engine.status()["strategy"]
        system._thread.submit(gate.wait, 30.0)
        try:
            with pytest.raises(ConsiliumError, match="the engine must be ready for commands"):
                system.submit(RuleChanged(rule="majority", by="ann", ts_event=2), by="ann")
        finally:
            gate.set()
        system.state_hash()  # after all that waited
        assert system.journal.head().offset == head
        assert system.engine.status()["strategy"] == before


def _lose_answer(patch: pytest.MonkeyPatch, *, blind: bool) -> None:
    """Let the next commit be carried out and its answer be lost; blind: nothing can be read then either."""
    real, find = Connection.commit, SqlJournal.find

    def commit(self: Connection) -> None:
        real(self)
        patch.setattr(Connection, "commit", real)
        raise OperationalError("COMMIT", None, Exception("server closed the connection unexpectedly"))

    def unread(self: SqlJournal, event_id: str) -> None:
        patch.setattr(SqlJournal, "find", find)
        raise DataProblem("the journal must be read", "no connection", "start the database")

    patch.setattr(Connection, "commit", commit)
    if blind:
        patch.setattr(SqlJournal, "find", unread)


@pytest.mark.parametrize("blind", [False, True])
def test_a_command_whose_commit_was_not_answered_is_live_as_it_is_in_the_journal(
    blind: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = RuleChanged(rule="trust_weighted", by="ann", ts_event=7)
    with system_of(tmp_path, engine={"period_s": 0.5}) as system:  # pending rows are written at each beat
        until(lambda: "engine" not in system.troubles)
        _lose_answer(monkeypatch, blind=blind)
        if blind:
            with pytest.raises(OutcomeUnknown, match="no answer from it"):
                system.submit(command, by="ann")
        else:
            system.submit(command, by="ann")
        assert system.engine.status()["strategy"] == "trust_weighted"
        until(lambda: not system._pending)
        told = [row.event.topic for row in system.journal.read(0, 10)]
        assert told.count("ensemble.rule_changed") == 1
    with system_of(tmp_path) as again:
        until(lambda: "engine" not in again.troubles)
        assert again.engine.status()["strategy"] == "trust_weighted"
