"""A trading worker obeys the council, takes no entries where it hears none, and stays frozen by the rule."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consilium.app.council.kill_switch import command_of, note_of, path_of, read_note, write_note
from consilium.app.live.obeying import SILENT, Obeying
from consilium.app.live.records import (
    COMMAND_TAKEN,
    COUNCIL,
    COUNCIL_HEARD,
    STEP_RULED,
    Recorder,
)
from consilium.app.settings import Settings
from consilium.bus.codec import envelope
from consilium.council.policy import BASE_POLICY
from consilium.domain import Event, Policy, PolicyChanged

LIVE = replace(BASE_POLICY, mode="LIVE")
FROZEN = replace(BASE_POLICY, mode="FROZEN", entry=False, strategy_exit=False)


class Watch:
    """A clock that is set by hand, and a council that lives or does not."""

    def __init__(self) -> None:
        self.now, self.alive = 0.0, True


def obeying(folder: Path, watch: Watch) -> Obeying:
    settings = Settings.model_validate({"data_dir": folder, "council": {"lost_s": 60}})
    return Obeying(settings, lambda: watch.alive, lambda: watch.now)


def ruled(policy: Policy) -> Event:
    return Recorder(ts_recorded=1, trace_id="t").event(
        PolicyChanged(policy=policy, decisions=("d",), ts_event=1)
    )


def row(topic: str, **body: Any) -> Event:
    return envelope({"ts_event": 1, **body}, stream=COUNCIL, ts_recorded=1, topic=topic)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.mark.promise("001", "no policy is no entries: a trading worker that has heard none takes none")
def test_before_the_first_policy_nothing_is_opened(tmp_path: Path, watch: Watch) -> None:
    room = obeying(tmp_path, watch)
    assert (room.policy.mode, room.policy.entry) == ("PAUSED", False)
    room.hear(ruled(LIVE))
    assert room.policy == LIVE


@pytest.mark.promise("001", "where the council is silent for longer than the bound, nothing is opened")
def test_a_silent_council_is_no_entries_until_it_is_heard_again(tmp_path: Path, watch: Watch) -> None:
    room = obeying(tmp_path, watch)
    room.hear(ruled(LIVE))
    assert room.listen() is None
    watch.now, watch.alive = 60.0, False
    assert room.listen() is None
    watch.now = 60.1
    assert room.listen() is False
    assert room.policy == LIVE  # it counts as a row of the journal only
    room.hear(row(COUNCIL_HEARD, heard=False))
    assert (room.policy.mode, room.policy.entry, room.policy.strategy_exit) == ("PAUSED", False, True)
    assert room.warning == SILENT
    room.hear(ruled(replace(LIVE, max_leverage=2.0)))
    assert not room.policy.entry  # what an old word says does not open it again
    assert room.listen() is None
    watch.alive = True
    assert room.listen() is True
    room.hear(row(COUNCIL_HEARD, heard=True))
    assert room.policy == replace(LIVE, max_leverage=2.0)
    assert room.warning == ""


def test_one_that_lives_and_says_nothing_on_a_close_is_lost_too(tmp_path: Path, watch: Watch) -> None:
    room = obeying(tmp_path, watch)
    room.hear(ruled(LIVE))
    watch.now = 10.0
    room.traded(100)
    assert (room.waits, room.due) == (True, 100)
    watch.now = 70.0
    assert room.listen() is None
    watch.now = 70.1
    assert room.listen() is False
    room.hear(row(COUNCIL_HEARD, heard=False))
    assert (room.waits, room.lost) == (False, True)
    assert room.listen() is None  # it still owes its word
    room.hear(row(STEP_RULED, ts_event=99))
    assert room.due == 100
    room.hear(row(STEP_RULED, ts_event=100))
    assert room.listen() is True


@pytest.mark.promise("001", "no sign of life for lost_s is no entries, however fast closes come and go")
def test_words_on_closes_are_no_signs_of_life(tmp_path: Path, watch: Watch) -> None:
    room = obeying(tmp_path, watch)
    room.hear(ruled(LIVE))
    assert room.listen() is None
    watch.alive = False
    for second in range(1, 61):
        watch.now = float(second)
        if second % 10 == 0:
            room.traded(second)
        elif second % 10 == 5:
            room.hear(row(STEP_RULED, ts_event=second))
        assert room.listen() is None
    watch.now = 60.1
    assert room.listen() is False


def test_a_long_catching_up_is_no_silence_of_the_council(tmp_path: Path, watch: Watch) -> None:
    room = obeying(tmp_path, watch)
    watch.now, watch.alive = 500.0, False
    assert room.listen() is None  # the first look
    watch.now = 560.1
    assert room.listen() is False


@pytest.mark.promise("001", "a council that a fast feed outran is heard again as soon as it says a word")
def test_on_a_feed_that_is_faster_than_the_council_it_is_heard_again_by_any_word(
    tmp_path: Path, watch: Watch
) -> None:
    room = obeying(tmp_path, watch)
    room.hear(ruled(LIVE))
    room.traded(100)
    watch.now = 60.1
    room.hear(row(COUNCIL_HEARD, heard=False))
    for close in range(101, 110):  # another close before each word
        assert room.listen() is None
        room.traded(close)
    room.hear(row(STEP_RULED, ts_event=105))
    room.traded(110)
    assert room.listen() is True
    room.hear(row(COUNCIL_HEARD, heard=True))
    assert (room.policy, room.waits) == (LIVE, True)  # and the next step waits for the word on 110
    watch.now = 120.3
    assert room.listen() is False
    room.hear(row(COUNCIL_HEARD, heard=False))
    assert room.listen() is None  # the old word does not count twice


def halt_of(name: str) -> Event:
    note = {"command_id": name, "reason": "smoke", "person": "ann"}
    return Recorder(ts_recorded=1, trace_id="kill").event(command_of(note, 1))


def test_a_halt_that_the_council_refuses_ends_with_its_answer(tmp_path: Path, watch: Watch) -> None:
    room = obeying(tmp_path, watch)
    room.hear(ruled(LIVE))
    room.hear(halt_of("kill-1"))
    assert room.policy.mode == "FROZEN"
    room.hear(row(COMMAND_TAKEN, command_id="kill-1", refused="not as things stand"))
    assert (room.policy, room.warning) == (LIVE, "")


@pytest.mark.promise("001", "a halt of a known id is a halt again once its freeze is over")
def test_the_same_halt_is_one_while_its_freeze_stands_and_another_later(tmp_path: Path, watch: Watch) -> None:
    room = obeying(tmp_path, watch)
    room.hear(halt_of("kill-1"))
    room.hear(ruled(FROZEN))
    room.hear(row(COMMAND_TAKEN, command_id="kill-1", refused=""))
    room.hear(halt_of("kill-1"))
    assert room.halt == ""
    room.hear(ruled(LIVE))  # after two reviews
    room.hear(halt_of("kill-1"))
    assert (room.halt, room.policy.mode) == ("kill-1", "FROZEN")


@pytest.mark.parametrize("mode", ["FROZEN", "EMERGENCY", "REDUCING"])
def test_what_is_tighter_stays_where_the_council_is_lost(tmp_path: Path, watch: Watch, mode: str) -> None:
    room = obeying(tmp_path, watch)
    tight = replace(
        BASE_POLICY, mode=mode, entry=False, reduce=mode == "REDUCING", flatten=mode == "EMERGENCY"
    )
    room.hear(ruled(tight))
    room.hear(row(COUNCIL_HEARD, heard=False))
    assert room.policy == tight


@pytest.mark.promise("001", "a note that is removed does not lift what the journal says, also among workers")
def test_a_halt_counts_at_once_and_ends_by_the_councils_rule_only(tmp_path: Path, watch: Watch) -> None:
    room = obeying(tmp_path, watch)
    room.hear(ruled(LIVE))
    write_note(tmp_path, note_of("smoke", "ann"))
    command = room.look(5)
    assert command is not None
    room.hear(Recorder(ts_recorded=1, trace_id="kill").event(command))
    assert (room.policy.mode, room.policy.entry) == ("FROZEN", False)
    assert room.look(6) is None
    path_of(tmp_path).unlink()
    assert room.look(7) is None
    room.hear(ruled(replace(LIVE, max_leverage=3.0)))  # ruled before it took the halt
    assert room.policy.mode == "FROZEN"
    room.hear(row(COMMAND_TAKEN, command_id=command.command_id, refused=""))
    assert room.policy.mode == "FROZEN"  # it was refused there, or is not in force: frozen still
    room.hear(ruled(FROZEN))
    room.hear(row(COMMAND_TAKEN, command_id=command.command_id, refused="", again=True))
    assert room.policy == FROZEN
    room.hear(Recorder(ts_recorded=2, trace_id="kill").event(command))  # read by two: no second halt
    assert room.halt == ""
    room.hear(ruled(LIVE))  # after two reviews
    assert room.policy == LIVE


def test_a_restart_remembers_all_of_it(tmp_path: Path, watch: Watch) -> None:
    room = obeying(tmp_path, watch)
    room.hear(ruled(replace(LIVE, symbols=("A",), weights={"m": 1.0})))
    write_note(tmp_path, note_of("smoke", "ann"))
    note = read_note(tmp_path)
    assert note is not None
    room.hear(Recorder(ts_recorded=1, trace_id="kill").event(command_of(note, 1)))
    room.hear(row(COUNCIL_HEARD, heard=False))
    room.traded(7)
    again = obeying(tmp_path, watch)
    again.restore(room.state())
    assert again.policy == room.policy
    assert (again.state(), again.look(9)) == (room.state(), None)
