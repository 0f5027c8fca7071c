"""Updates that the coordinator sees: on the disk before they count, checked, and counted once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.app.federated.record_log import RecordLog
from consilium.app.federated.visible_desk import Taken, VisibleDesk
from consilium.domain import InvalidValue
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.primitives import verify
from consilium.federated.rounds import Answered, Closed, RoundEffect
from consilium.federated.sent_update import SentUpdate
from consilium.federated.session import Buffering, Terms
from federated_cases import SECOND, D, Desk, mean_in, outcome_in, running, terms_of, update_of

NAMES = ("a", "b", "c", "d")


@dataclass
class World:
    """A session in which all have joined, and its folder."""

    folder: Path
    terms: Terms = field(default_factory=terms_of)
    desk: Desk = field(default_factory=lambda: Desk(NAMES))

    def __post_init__(self) -> None:
        self.kept = running(self.desk, self.terms)
        self.seen = VisibleDesk(self.folder, self.kept)
        if self.terms.buffering is None:
            self.kept.open_round(0)
        self.seen.begin()

    def raw(self, name: str, delta: Any = (0.1, 0.2, 0.0, -0.1), **changed: Any) -> bytes:
        given = {"round": self.kept.number, "base_version": self.kept.version} | changed
        update = update_of(f"{name}-1", delta, **given)
        return SentUpdate.signed("s", update, self.desk.keys[name].private).encode()

    def take(self, name: str, delta: Any = (0.1, 0.2, 0.0, -0.1), **changed: Any) -> Taken:
        return self.seen.take(self.raw(name, delta, **changed), SECOND)

    def killed(self) -> list[RoundEffect]:
        """Lose all memory; come back from what was saved and written."""
        self.seen.close()
        self.kept = SessionCoordinator.restore(self.kept.state(), self.desk.owners)
        self.seen = VisibleDesk(self.folder, self.kept)
        return self.seen.resume()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Begin a session; its files are closed with the test."""
    worlds: list[World] = []

    def made(terms: Terms | None = None) -> World:
        worlds.append(World(tmp_path, terms or terms_of()))
        return worlds[-1]

    yield made
    for world in worlds:
        world.seen.close()


@pytest.mark.promise("003", "visible rounds: an update is on the disk before it counts, and counts once")
@pytest.mark.parametrize("kill_after", [0, 1, 2, 3])
def test_a_kill_between_updates_changes_nothing_of_the_mean(
    kill_after: int, begin: Callable[..., World], tmp_path: Path
) -> None:
    world, rng = begin(), np.random.default_rng(3)
    deltas = {name: rng.normal(scale=0.1, size=D) for name in NAMES}
    for count, name in enumerate(NAMES):
        if count == kill_after:
            assert all(isinstance(one, Answered) and one.accepted for one in world.killed())
            for before in NAMES[:count]:
                # Who was not answered sends the same again.
                assert world.take(before, deltas[before]).refused == ""
        taken = world.take(name, deltas[name])
        assert taken.refused == ""
    outcome = outcome_in(list(taken.effects))
    assert len(outcome.survivors) == 4
    np.testing.assert_allclose(mean_in(outcome), np.mean(list(deltas.values()), axis=0), rtol=1e-12)
    world.seen.close()
    with RecordLog(tmp_path / "updates-1-0.log") as log:
        assert len(log.records) == 4


def test_a_round_that_closed_before_it_was_saved_closes_again_to_the_same_bits(
    begin: Callable[..., World],
) -> None:
    world = begin()
    for place, name in enumerate(NAMES):
        effects = world.take(name, [0.1 * place, 0.0, 0.3, -0.1]).effects
    first = mean_in(outcome_in(list(effects)))
    again = mean_in(outcome_in(world.killed()))
    assert first.tobytes() == again.tobytes()


@pytest.mark.promise("003", "two updates of one participant that differ are evidence against it")
def test_two_updates_that_differ_are_kept_as_evidence_and_neither_counts(begin: Callable[..., World]) -> None:
    world = begin()
    assert world.take("a").refused == ""
    second = world.take("a", (0.2, 0.0, 0.0, 0.0))
    assert "may send 1 update in round 1; got a second that differs" in second.refused
    ((one, other),) = world.seen.evidence()
    # Header and signature stand alone: whoever has the key can check both, without the numbers.
    assert one == world.raw("a")[: -8 * D]
    assert other == world.raw("a", (0.2, 0.0, 0.0, 0.0))[: -8 * D]
    for head in (one, other):
        assert verify(world.desk.keys["a"].public, head[-64:], head[4:-64])
    world.killed()
    assert len(world.seen.evidence()) == 1
    assert "a second that differs" in world.take("a").refused
    for name in ("b", "c", "d"):
        effects = world.take(name).effects
    outcome = outcome_in(list(effects))
    assert outcome.survivors == ("b-1", "c-1", "d-1")
    assert [out.participant for out in outcome.excluded] == ["a-1"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"delta": [np.nan, 0.0, 0.0, 0.0]}, "delta must be finite; got nan at 0"),
        ({"delta": [3.0, 0.0, 0.0, 0.0]}, "the norm of delta must be <= 1; got 3: clip it"),
        ({"base_version": "0" * 64}, "base_version must be"),
        ({"round": 2}, "round must be 1; got 2"),
        ({"num_examples": 7}, "num_examples of a-1 must be the 100"),
    ],
)
def test_a_wrong_update_is_refused_and_the_round_goes_on_without_it(
    changed: dict[str, Any], said: str, begin: Callable[..., World]
) -> None:
    world = begin()
    given = {"delta": (0.1, 0.2, 0.0, -0.1)} | changed
    assert said in world.take("a", **given).refused
    assert said in world.take("a").refused
    for name in ("b", "c", "d"):
        effects = world.take(name).effects
    assert outcome_in(list(effects)).survivors == ("b-1", "c-1", "d-1")


def test_bytes_of_nobody_exclude_nobody(begin: Callable[..., World]) -> None:
    world, other = begin(), Desk(NAMES)
    forged = SentUpdate.signed(
        "s", update_of("a-1", base_version=world.kept.version), other.keys["a"].private
    ).encode()
    with pytest.raises(InvalidValue, match="must be signed by its owner's key"):
        world.seen.take(forged, 1)
    with pytest.raises(InvalidValue, match=r"must have 4 numbers"):
        world.seen.take(world.raw("a", [0.1] * 5), 1)
    with pytest.raises(InvalidValue, match="one who joined; got 'eve-1'"):
        world.seen.take(SentUpdate.signed("s", update_of("eve-1"), other.keys["a"].private).encode(), 1)
    with pytest.raises(InvalidValue):
        world.seen.take(b"\xff" * 40, 1)
    assert world.take("a").refused == ""


def test_what_changes_nothing_is_not_written(begin: Callable[..., World], tmp_path: Path) -> None:
    world = begin()
    for _ in range(5):
        world.take("a")
        world.take("b", [np.inf, 0.0, 0.0, 0.0])
        world.take("c")
        world.take("c", [0.0, 0.0, 0.0, 0.2])
    world.seen.close()
    with RecordLog(tmp_path / "updates-1-0.log") as log:
        assert len(log.records) == 4


# Rounds that wait for nobody.


def buffering(**given: Any) -> Terms:
    return terms_of(buffering=Buffering(size=3, **given))


def merged(world: World) -> Any:
    effects = world.seen.cohort(SECOND)
    (closed,) = (effect for effect in effects if isinstance(effect, Closed))
    report = world.kept.close_round(closed.outcome, now=SECOND)
    world.seen.begin()
    world.seen.clean()
    return report


@pytest.mark.promise("003", "asynchronous rounds over HTTPS: the first K updates, faded by their staleness")
def test_a_buffered_round_is_of_the_first_that_came_and_others_wait_on(
    begin: Callable[..., World], tmp_path: Path
) -> None:
    world, old = begin(buffering()), None
    for name in ("d", "b"):
        assert world.take(name).refused == ""
        assert world.seen.cohort(SECOND) == []
    world.killed()
    assert world.seen.waiting == "2 of 3 updates are there"
    old = world.kept.version
    world.take("a")
    world.take("c", [0.0, 0.0, 0.0, 0.5])
    assert merged(world).survivors == ("a-1", "b-1", "d-1")
    assert world.kept.version != old
    world.killed()
    assert world.seen.waiting == "1 of 3 updates are there"
    before = world.kept.parameters.copy()
    for name in ("a", "b"):
        world.take(name, [0.0, 0.0, 0.0, 0.5])
    report = merged(world)
    assert report.survivors == ("a-1", "b-1", "c-1")
    # c was trained one version behind: it fades by 2^-1/2.
    moved = (world.kept.parameters - before)[3]
    assert moved == pytest.approx(0.5 * (2 + 2**-0.5) / 3)
    assert [path.name for path in tmp_path.glob("updates-*")] == ["updates-3-0.log"]


def test_an_update_that_was_merged_is_not_taken_again(begin: Callable[..., World]) -> None:
    world = begin(buffering())
    raw = world.raw("a")
    for name in ("a", "b", "c"):
        world.take(name)
    merged(world)
    with pytest.raises(
        InvalidValue, match="trained after round 1, in which its last one was; got for round 1"
    ):
        world.seen.take(raw, SECOND)
    world.killed()
    with pytest.raises(InvalidValue, match="trained after round 1"):
        world.seen.take(raw, SECOND)
    with pytest.raises(InvalidValue, match=r"for a round in \[1, 2\]; got 3"):
        world.take("a", round=3)


def test_what_is_too_old_is_refused_with_the_bound(begin: Callable[..., World]) -> None:
    world = begin(buffering(most_stale=0))
    raw = world.raw("d")
    for name in ("a", "b", "c"):
        world.take(name)
    merged(world)
    with pytest.raises(InvalidValue, match="may be <= 0 versions behind; got 1: train on the newest model"):
        world.seen.take(raw, SECOND)


def test_a_wrong_update_takes_no_place_in_the_buffer(begin: Callable[..., World]) -> None:
    world = begin(buffering())
    with pytest.raises(InvalidValue, match="the norm of delta must be <= 1; got 3"):
        world.take("a", [3.0, 0.0, 0.0, 0.0])
    assert world.seen.waiting == "0 of 3 updates are there"


def test_who_contradicts_its_waiting_update_loses_it_also_after_a_kill(begin: Callable[..., World]) -> None:
    world = begin(buffering())
    world.take("a")
    assert "a second that differs: neither counts" in world.take("a", [0.5, 0.0, 0.0, 0.0]).refused
    for _ in range(2):
        assert world.seen.waiting == "0 of 3 updates are there"
        assert len(world.seen.evidence()) == 1
        with pytest.raises(InvalidValue, match=r"for a round in \[2, 1\]; got 1"):
            world.take("a")
        world.killed()
