"""Locks of a journal in a real PostgreSQL that is killed and started again."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from consilium.app.live import system as living
from consilium.app.live.assembly import assemble
from consilium.bus.journal.alone import Held
from consilium.domain import ConsiliumError, OutputProblem, RuleChanged
from live_cases import settings_of
from real_servers import RealPostgres


@pytest.fixture
def server() -> Iterator[RealPostgres]:
    made = RealPostgres()
    try:
        yield made.start()
    finally:
        made.stop()


def test_locks_that_a_restart_of_the_server_took_are_taken_again_or_told(server: RealPostgres) -> None:
    names = ("market", "trading")
    ours, theirs = Held().journal(server.url, names), Held()
    try:
        assert ours.keep() is None
        server.kill()
        assert ours.keep() is None  # the journal tells that the server is away
        server.start_again()
        assert ours.keep() is None
        with pytest.raises(OutputProblem, match="one process for the trading at a time"):
            theirs.journal(server.url, ["trading"], patience_s=0.0)
        server.kill()
        server.start_again()
        theirs = Held().journal(server.url, ["trading"])
        for _ in range(2):
            lost = ours.keep()
            assert lost is not None
            assert "one process for the trading at a time; got another one" in str(lost)
    finally:
        ours.close()
        theirs.close()


@pytest.mark.long
def test_a_service_whose_journal_another_one_has_taken_stands_still(
    server: RealPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(living, "WATCH_S", 0.3)
    theirs = Held()
    with assemble(settings_of(tmp_path, database_url=server.url)) as system:
        until = time.monotonic() + 60.0
        try:
            while "engine" in system.troubles:
                assert time.monotonic() < until
                time.sleep(0.01)
            monkeypatch.setattr(system._held, "keep", lambda: None)  # as a look that comes too late
            server.kill()
            server.start_again()
            theirs.journal(server.url, ["market"])
            monkeypatch.undo()
            while "it stands still: a journal takes one process" not in system.ready()["engine"]:
                assert time.monotonic() < until
                time.sleep(0.01)
            with pytest.raises(ConsiliumError, match="it stands still"):
                system.submit(RuleChanged(rule="majority", by="ann", ts_event=1), by="ann")
        finally:
            theirs.close()
