"""Rosters and lists of survivors that a coordinator lies about: refused, and nothing is released."""

import copy
from collections.abc import Iterable

import numpy as np
import pytest

from consilium.federated.effects import Send
from consilium.federated.entropy import SystemEntropy
from consilium.federated.envelope import Signed
from consilium.federated.messages import Acks, Advertise, Inbox, Leaves, Phase, Release, Roster, Survivors
from consilium.federated.primitives import new_exchange_key, verify
from consilium.federated.roster import root_of
from consilium.federated.secure_sum.board import Board
from consilium.federated.secure_sum.keys import tag_of
from secure_sum_cases import VICTIM, Attempt, attempt, sent_by, told

# The roster.


def test_swapped_keys_are_refused_by_their_owner_and_by_its_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = attempt(8)
    mine = new_exchange_key(SystemEntropy()).public
    genuine = Board._advertised

    def swap(board: Board, index: int, keys: Advertise, signature: bytes) -> None:
        genuine(board, index, Advertise(mine, mine, keys.commitment) if index == 2 else keys, signature)

    monkeypatch.setattr(Board, "_advertised", swap)
    played.run()
    assert played.aborted[VICTIM].startswith("the own leaf must have the keys advertised; got swapped keys")
    others = set(played.participants) - {VICTIM}
    assert all(
        played.aborted[o].startswith("keys of 'desk-0002' must be signed by it; got swapped keys")
        for o in others
    )
    assert not [m for _, _, m in played.travelled if m.header.phase is Phase.SHARES]


def test_swapped_keys_that_do_not_lead_to_the_root_are_refused() -> None:
    played = attempt(8)
    message = played.until(Phase.LEAVES, VICTIM)
    leaves = Leaves.decode(message.body, 8)
    row = leaves.rows[5]
    rows = [*leaves.rows[:5], (row[0], bytes(32), *row[2:]), *leaves.rows[6:]]
    lie = played.lie(Phase.LEAVES, Leaves(rows, leaves.siblings).encode())
    assert told(played, lie).startswith("leaves must lead to the root ")


def test_leaves_of_others_than_those_drawn_are_refused() -> None:
    played = attempt(8)
    message = played.until(Phase.LEAVES, VICTIM)
    leaves = Leaves.decode(message.body, 8)
    lie = played.lie(Phase.LEAVES, Leaves(leaves.rows[1:], leaves.siblings).encode())
    assert told(played, lie).startswith("leaves must be those asked for and the own one; got others")


def test_a_second_roster_under_another_root_is_refused_and_kept_as_evidence() -> None:
    played = attempt(8)
    played.until(Phase.LEAVES, VICTIM)
    board = played.coordinator._board
    present = board.present.copy()
    present[0] = False
    root = root_of(board.tree.top, present)
    second = played.lie(Phase.ROSTER, Roster(root, present).encode(), root=root)
    assert told(played, second).startswith("a phase must have one message; ROSTER began with ")
    ((first_header, second_header),) = played.participants[VICTIM].evidence
    for signed in (first_header, second_header):
        assert verify(played.hub.signing.public, signed[-64:], signed[:-64])
    assert first_header != second_header
    assert any(first_header in record for _, record in played.journal)


def test_a_roster_without_its_receiver_or_with_too_few_is_refused() -> None:
    for gone, words in (([2], "a roster must list its receiver"), ([0, 1, 3, 4], "a roster must have >= 4")):
        played = attempt(6)
        played.until(Phase.ROSTER, VICTIM)
        present = np.ones(6, dtype=np.bool_)
        present[gone] = False
        root = root_of(played.coordinator._board.tree.top, present)
        lie = played.lie(Phase.ROSTER, Roster(root, present).encode(), root=root)
        assert told(played, lie).startswith(words)


def test_rosters_with_different_roots_for_two_halves_open_no_letters() -> None:
    played = attempt(12, delta=0.2)
    half = [f"desk-{i:04d}" for i in range(7, 12)]
    other = copy.deepcopy(played.coordinator)

    def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
        if message.header.phase is Phase.ADVERTISE and sender != "desk-0000":
            other._board.accept(
                Phase.ADVERTISE, played.cohort.index_of(sender), message.body, (b"", message.signature)
            )
        return [] if to in half and message.header.phase is Phase.ROSTER else [message]

    played.bend = bend
    played.tick()
    played.deliver()
    # The other half is shown a roster that lacks desk-0000, under another root, and draws from that.
    board, second = played.coordinator._board, other._board
    second.close_advertise()
    assert second.root != board.root
    second.neighbours.update(board.neighbours)
    second.letters.update(board.letters)
    for owner in half:
        played.give(owner, played.lie(Phase.ROSTER, second.roster(), root=second.root))
        (asked,) = [played.participants[owner]._memory.answers[Phase.ROSTER]]
        index = played.cohort.index_of(owner)
        second.accept(Phase.ASK, index, asked.body, (b"", b""))
        played.give(owner, played.lie(Phase.LEAVES, second.leaves(index), root=second.root))
        shares = played.participants[owner]._memory.answers[Phase.LEAVES]
        second.accept(Phase.SHARES, index, shares.body, (b"", b""))
    second.shared[list(second.letters)] = True
    second.shared[0] = False
    second.close_shares()
    for owner in half:
        body = second.inbox(played.cohort.index_of(owner))
        words = told(played, played.lie(Phase.INBOX, body, root=second.root), to=owner)
        assert words.startswith("letters that do not open must be <= 5; got ")
    assert not [m for s, _, m in played.travelled if s in half and m.header.phase is Phase.MASKED]


# The list of survivors.


def listing(played: Attempt, *missing: int) -> bytes:
    alive = np.ones(played.params.participants, dtype=np.bool_)
    alive[list(missing)] = False
    return Survivors(alive).encode()


def test_a_list_of_survivors_without_its_receiver_is_refused() -> None:
    played = attempt(8)
    played.until(Phase.SURVIVORS, VICTIM)
    lie = played.lie(Phase.SURVIVORS, listing(played, 2))
    assert told(played, lie).startswith("a list of survivors must have its receiver; got not listed")
    assert not sent_by(played, VICTIM, Phase.ACK)


def test_a_list_with_too_few_survivors_is_refused() -> None:
    played = attempt(8, delta=0.25)
    played.until(Phase.SURVIVORS, VICTIM)
    lie = played.lie(Phase.SURVIVORS, listing(played, 0, 1, 3))
    assert told(played, lie) == "survivors must be >= 6; got 5: leave this attempt and ask why"


def test_a_list_with_too_few_of_its_neighbours_is_refused() -> None:
    # Of six neighbours four must survive: a list without three of them is long enough otherwise.
    played = attempt(20, delta=0.2, degree=(6, 4))
    played.until(Phase.SURVIVORS, VICTIM)
    beside = played.participants[VICTIM]._memory.neighbours
    lie = played.lie(Phase.SURVIVORS, listing(played, *beside[:3]))
    assert told(played, lie) == (
        "neighbours among the survivors must be >= 4; got 3: leave this attempt and ask why"
    )


def test_survivors_who_never_shared_are_refused() -> None:
    played = attempt(8)
    played.drop_at({"desk-0000": Phase.SHARES})
    lied: list[str] = []
    drop = played.bend
    assert drop is not None

    def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
        if message.header.phase is Phase.SURVIVORS and to == VICTIM:
            lied.append(to)
            return [played.lie(Phase.SURVIVORS, listing(played))]
        return drop(sender, to, message)

    played.bend = bend
    played.tick()
    played.deliver()
    played.tick(601)
    played.deliver()
    assert lied
    assert played.aborted[VICTIM].startswith("survivors must be of those who shared; got others")


def test_a_second_list_after_its_acknowledgement_is_refused_and_nothing_is_released() -> None:
    played = attempt(8)
    acks = played.until(Phase.ACKS, VICTIM)
    lie = played.lie(Phase.SURVIVORS, listing(played, 0))
    assert told(played, lie).startswith("a phase must have one message; SURVIVORS began with ")
    assert len(played.participants[VICTIM].evidence) == 1
    assert told(played, acks).startswith("this attempt is over: a phase must have one message")
    assert not sent_by(played, VICTIM, Phase.RELEASE)
    assert len(sent_by(played, VICTIM, Phase.ACK)) == 1


def shares_given(played: Attempt) -> dict[str, dict[int, bytes]]:
    """Return what each participant released, by owner of the share."""
    return {
        sender: dict(Release.decode(m.body, played.params.participants).shares)
        for sender, _, m in played.travelled
        if m.header.phase is Phase.RELEASE
    }


@pytest.mark.parametrize("first", range(2, 11))
def test_a_node_listed_alive_to_some_and_dead_to_others_gives_no_both_secrets(first: int) -> None:
    """A lying coordinator with two colluders, who acknowledge both lists; node 11 is dead in the second."""
    n, colluders = 12, (0, 1)
    played = attempt(n, gamma=0.17, delta=0.1)
    assert (played.params.neighbours, played.params.threshold) == (11, 7)
    lists = [listing(played), listing(played, 11)]

    def of(owner: str) -> bytes:
        return lists[0] if played.cohort.index_of(owner) < first else lists[1]

    def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
        phase = message.header.phase
        if phase is Phase.SURVIVORS:
            return [played.lie(phase, of(to))]
        return [] if phase is Phase.ACK else [message]

    played.bend = bend
    played.tick()
    played.deliver()
    context = played.participants[VICTIM]._steps._context
    given: dict[str, dict[int, bytes]] = {}
    for owner, machine in played.participants.items():
        # It gets every genuine proof of its own list, and the colluders' for whichever it has.
        tags = []
        for j, other in enumerate(played.cohort.owners):
            keys = played.participants[other]._memory.holder_keys
            index = played.cohort.index_of(owner)
            if index not in keys or (j not in colluders and of(other) != of(owner)):
                continue
            alive = Survivors.decode(of(owner), n).alive
            tags.append((j, tag_of(keys[index], context.listed(np.ones(n, dtype=np.bool_), alive))))
        effects = machine.handle(played.lie(Phase.ACKS, Acks(tags).encode()))
        for effect in effects:
            if isinstance(effect, Send) and effect.message.header.phase is Phase.RELEASE:
                given[owner] = dict(Release.decode(effect.message.body, n).shares)
    honest = {o: shares for o, shares in given.items() if played.cohort.index_of(o) not in colluders}
    as_alive = [o for o, shares in honest.items() if 11 in shares and of(o) == lists[0]]
    as_dead = [o for o, shares in honest.items() if 11 in shares and of(o) == lists[1]]
    assert not (as_alive and as_dead)
    # Whoever holds out says why.
    silent = set(played.participants) - set(given)
    reasons = [played.participants[o].aborted for o in silent - {"desk-0011"}]
    assert all("acknowledged the same list must be >= 7" in why for why in reasons)


def test_forged_acknowledgements_release_nothing() -> None:
    played = attempt(8)
    acks = played.until(Phase.ACKS, VICTIM)
    forged = [(j, bytes(16)) for j, _ in Acks.decode(acks.body, 8).tags]
    lie = played.lie(Phase.ACKS, Acks(forged).encode())
    assert told(played, lie).startswith("neighbours who acknowledged the same list must be >= 4; got 0")
    assert not sent_by(played, VICTIM, Phase.RELEASE)


def test_proofs_of_one_neighbour_do_not_count_for_another() -> None:
    played = attempt(8)
    acks = Acks.decode(played.until(Phase.ACKS, VICTIM).body, 8)
    (j, tag), rest = acks.tags[0], acks.tags[1:]
    lie = played.lie(Phase.ACKS, Acks([(j, tag), *((i, tag) for i, _ in rest)]).encode())
    assert "must be >= 4; got 1" in told(played, lie)


def test_each_release_has_one_share_of_each_owner_and_comes_once() -> None:
    played = attempt(10, delta=0.2)
    played.drop_at({"desk-0004": Phase.MASKED})
    played.run()
    assert played.coordinator.result is not None
    given = shares_given(played)
    assert len(given) == 9
    # Nine others shared with each: eight survivors, whose b is given, and the one who is gone.
    assert all(len(shares) == 9 for shares in given.values())
    for owner in given:
        first = played.participants[owner]._memory.answers[Phase.ACKS]
        again = played.participants[owner].resend()
        assert [e.message for e in again if isinstance(e, Send)] == [first]


def test_a_coordinator_that_hides_from_one_who_shared_gets_no_shares_of_it() -> None:
    """With different sharers for each it could cut the masks between two halves and take both sums."""
    played = attempt(10, delta=0.3)
    inbox = Inbox.decode(played.until(Phase.INBOX, VICTIM).body, 10)
    shared = inbox.shared.copy()
    shared[5] = False
    rows = [row for row in inbox.rows if row[0] != 5]
    siblings = played.coordinator._board.tree.siblings([row[0] for row in rows])
    assert told(played, played.lie(Phase.INBOX, Inbox(shared, rows, siblings).encode())) == ""
    masked = played.participants[VICTIM]._memory.answers[Phase.INBOX]
    assert masked.header.phase is Phase.MASKED

    def bend(_: str, to: str, message: Signed) -> Iterable[Signed]:
        if message.header.phase is Phase.SURVIVORS:
            return [played.lie(Phase.SURVIVORS, listing(played, 5))]
        return [message]

    played.bend = bend
    played.deliver()
    everyone = set(range(10)) - {5, 2}
    context = played.participants[VICTIM]._steps._context
    alive = Survivors.decode(listing(played, 5), 10).alive
    tags = []
    for j in sorted(everyone):
        other = played.participants[played.cohort.owners[j]]._memory
        tags.append((j, tag_of(other.holder_keys[2], context.listed(other.shared, alive))))
    words = told(played, played.lie(Phase.ACKS, Acks(tags).encode()))
    assert words.startswith("neighbours who acknowledged the same list must be >= 5; got 0")
    assert not sent_by(played, VICTIM, Phase.RELEASE)
