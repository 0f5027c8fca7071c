"""A recording that lacks a diff is played, and its exchange never answers a snapshot that is wrong."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from book_exchange import KnownExchange, known_exchange, recording
from consilium.app.collecting.replaying import load_tape, tape_warnings
from consilium.domain.errors import DataProblem
from consilium.market.book.streams import Recorded
from consilium.market.replay.exchange import ReplayExchange
from consilium.market.replay.tape import Tape

START = 3
LINES_A_DIFF = 3


@pytest.fixture(params=[False, True], ids=["spot", "futures"])
def known(request: pytest.FixtureRequest) -> KnownExchange:
    return known_exchange(5, diffs=40, linked=request.param)


def line_of(diff: int) -> int:
    """Index of a diff's line; the snapshot lies behind those of the diff at `START`."""
    return LINES_A_DIFF * diff + (diff > START)


def spoilt(known: KnownExchange, diff: int, how: str) -> list[Recorded]:
    lines = recording(known, start=START)
    at = line_of(diff)
    line = lines[at]
    if how == "missing":
        del lines[at]
    elif how == "unreadable":
        lines[at] = line._replace(payload=line.payload.replace(b'"b":[[', b'"b":[["x","1"],['))
    else:
        lines[at] = line._replace(payload=line.payload.replace(b'"b":[[', b'"b":[["9999999.0","1.0"],['))
    return lines


def snapshots(tape: Tape) -> list[tuple[int, list[tuple[int, int]]] | None]:
    """The book after each diff as the tape answers it; None where it refuses."""
    answers: list[tuple[int, list[tuple[int, int]]] | None] = []
    for message in tape.messages:
        tape.go_on(message)
        if message.kind == "depth":
            if not tape.right:
                answers.append(None)
                continue
            said = json.loads(tape.snapshot_text(5))
            bids = [(round(float(p) * 1e8), round(float(q) * 1e8)) for p, q in said["bids"]]
            answers.append((said["lastUpdateId"], bids))
    return answers


@pytest.mark.parametrize("how", ["missing", "unreadable", "crossed"])
def test_no_wrong_snapshot_is_answered_after_a_hole(known: KnownExchange, how: str) -> None:
    tape = Tape("BTCUSDT", spoilt(known, 20, how))
    answers = snapshots(tape)
    right = [answer for answer in answers if answer is not None]
    assert len(right) == 20
    assert not any(answers[20:])
    for last, bids in right[START + 1 :]:
        assert bids == known.top(last, 5)[0]
    first = line_of(20) + 1
    assert [line for line, _ in tape.holes] == [first + (2 if how == "missing" else 0)]
    (warned,) = tape_warnings("x.jsonl", tape)
    assert f"line {tape.holes[0][0]}:" in warned
    assert "1 such lines" in warned


@pytest.mark.parametrize("behind", [0, 2])
def test_the_next_recorded_snapshot_makes_the_book_right_again(known: KnownExchange, behind: int) -> None:
    lines = spoilt(known, 20, "missing")
    again = recording(known, start=25 - behind)[LINES_A_DIFF * (26 - behind)]
    assert again.is_snapshot
    at = line_of(26) - 1
    tape = Tape("BTCUSDT", [*lines[:at], again._replace(ts_local=lines[at - 1].ts_local), *lines[at:]])
    answers = snapshots(tape)
    assert [i for i, answer in enumerate(answers) if answer is None] == list(range(20, 25))
    for answer in answers[25:]:
        assert answer is not None
        assert answer[1] == known.top(answer[0], 5)[0]
    assert len(tape.holes) == 1


def test_a_first_snapshot_that_cannot_be_is_refused(known: KnownExchange) -> None:
    lines = [line for line in recording(known) if not line.is_snapshot]
    crossed = b'{"lastUpdateId":1,"bids":[["2.0","1.0"]],"asks":[["1.0","1.0"]]}'
    with pytest.raises(DataProblem, match="best bid"):
        Tape("BTCUSDT", [Recorded(0, crossed), *lines])


def test_the_exchange_refuses_snapshots_where_the_recording_has_a_hole(known: KnownExchange) -> None:
    async def scene() -> tuple[int, int]:
        tape = Tape("BTCUSDT", spoilt(known, 20, "missing"))
        async with ReplayExchange([tape], speed=0.0) as exchange, aiohttp.ClientSession() as session:
            url = f"{exchange.rest_url}/api/v3/depth?symbol=BTCUSDT&limit=5"
            async with session.get(url) as answer:
                before = answer.status
            async with session.ws_connect(f"{exchange.stream_url}/ws/btcusdt@depth@100ms") as socket:
                for _ in range(39):
                    await socket.receive_json(timeout=5)
            async with session.get(url) as answer:
                return before, answer.status

    assert asyncio.run(scene()) == (200, 503)


def test_a_recording_written_with_spaces_is_played_whole(known: KnownExchange, tmp_path: Path) -> None:
    lines = recording(known, start=START)
    spaced = [line._replace(payload=json.dumps(json.loads(line.payload)).encode()) for line in lines]
    assert b'{"stream": "' in spaced[0].payload
    path = tmp_path / "spaced.jsonl"
    path.write_bytes(b"".join(b"%d %s\n" % (line.ts_local, line.payload) for line in spaced))
    tape, market = load_tape(path)
    compact = Tape("BTCUSDT", lines)
    assert market == ("usdm" if known.linked else "spot")
    assert tape.messages == compact.messages
    assert tape.recorded_snapshot == compact.recorded_snapshot
    assert (tape.holes, tape.left_out) == ([], [])


def test_lines_that_tell_nothing_are_counted_and_told(known: KnownExchange) -> None:
    lines = recording(known, start=START)
    strange = [Recorded(1, b'{"result":null,"id":1}'), *lines[:5], Recorded(2, b"{cut"), *lines[5:]]
    tape = Tape("BTCUSDT", strange)
    assert tape.left_out == [1, 7]
    (warned,) = tape_warnings("x.jsonl", tape)
    assert "line 1:" in warned
    assert "2 such lines" in warned
