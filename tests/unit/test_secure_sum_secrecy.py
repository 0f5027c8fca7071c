"""What a coordinator sees with fewer colluders than the threshold: numbers that say nothing but the sum."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from consilium.federated.encoding import read_vector
from consilium.federated.masks import Words, add_masks
from consilium.federated.messages import Phase
from consilium.federated.secure_sum.memory import Memory
from consilium.federated.secure_sum.recovery import _secrets
from secure_sum_cases import Attempt, attempt, sent_by

SEEDS = 20
WORDS = 1200
HONEST = ("desk-0000", "desk-0001", "desk-0002", "desk-0003")
COLLUDERS = ("desk-0004", "desk-0005")


def masked(played: Attempt, owner: str) -> Words:
    (message,) = sent_by(played, owner, Phase.MASKED)
    return read_vector(message.body, played.params.ring_bits, played.params.dimension).copy()


def seen(vectors: NDArray[np.int64], seed: int) -> dict[str, Words]:
    """Return what colluders and a coordinator have of each honest one: its vector less known masks."""
    private: dict[str, bytes] = {}
    played = attempt(6, WORDS, seed=seed, vectors=vectors)
    forget = Memory.forget

    def catch(memory: Memory, phase: Phase) -> None:
        if phase is Phase.INBOX:
            owner = next(o for o, p in played.participants.items() if p._memory is memory)
            private[owner] = memory.mask_key.private
        forget(memory, phase)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Memory, "forget", catch)
        played.tick()
        played.deliver()
    assert played.coordinator.result is not None
    board = played.coordinator._board
    found = {}
    for owner in HONEST:
        vector, own = masked(played, owner), played.cohort.index_of(owner)
        known = []
        for colluder in COLLUDERS:
            other = played.cohort.index_of(colluder)
            key, sign = board.context.pair_mask(private[colluder], board.keys[own].mask_key, other, own)
            known.append((key, sign))
        # The colluder's sign is the opposite of the honest one's: adding takes the mask off.
        add_masks(vector, known)
        # Its own mask comes off too: after the release a coordinator has b of every survivor.
        secret = _secrets(board, [own], [])[own]
        add_masks(vector, [(board.context.self_mask(secret, own), -1)])
        found[owner] = vector
    return found


def p_uniform(words: Any) -> list[float]:
    """Return p-values of chi-square over each of the four bytes of the words, 256 bins."""
    raw = np.asarray(words, dtype=np.uint32).view(np.uint8).reshape(-1, 4)
    return [float(stats.chisquare(np.bincount(raw[:, i], minlength=256)).pvalue) for i in range(4)]


def test_masked_vectors_are_uniform_whatever_the_input() -> None:
    inputs = (np.zeros((6, WORDS), dtype=np.int64), np.full((6, WORDS), 4096))
    raw = [
        np.concatenate([masked(played, "desk-0001") for played in runs(vectors, SEEDS)]) for vectors in inputs
    ]
    for words in raw:
        assert min(p_uniform(words)) > 1e-3
    # The same distribution: two samples, 64 bins of the whole word.
    table = [np.bincount(words >> 26, minlength=64) for words in raw]
    assert stats.chi2_contingency(table).pvalue > 1e-3
    # The test would see what is not masked.
    assert min(p_uniform(np.full(WORDS, 4096, dtype=np.uint32))) < 1e-12


def runs(vectors: NDArray[np.int64], seeds: int) -> list[Attempt]:
    found = []
    for seed in range(seeds):
        played = attempt(6, WORDS, seed=seed, vectors=vectors)
        played.tick()
        played.deliver()
        found.append(played)
    return found


def test_colluders_and_a_coordinator_learn_the_sum_of_the_honest_and_nothing_else() -> None:
    """Even with every b, and with the masks that two of six colluders share, single vectors stay uniform."""
    vectors = np.random.default_rng(1).integers(-4096, 4097, (6, WORDS))
    left: dict[str, list[Words]] = {owner: [] for owner in HONEST}
    for seed in range(10):
        found = seen(vectors, seed)
        for owner, vector in found.items():
            left[owner].append(vector)
        total = np.sum([found[o] for o in HONEST], axis=0, dtype=np.uint32)
        np.testing.assert_array_equal(total.view(np.int32), vectors[:4].sum(axis=0))
        # Three of four honest ones are no sum of three vectors: the fourth one's masks are still on them.
        part = np.sum([found[o] for o in HONEST[:3]], axis=0, dtype=np.uint32)
        assert p_uniform(part)[3] > 1e-6
    for owner in HONEST:
        assert min(p_uniform(np.concatenate(left[owner]))) > 1e-3


def test_the_masked_vectors_of_two_attempts_share_nothing() -> None:
    vectors = np.zeros((6, WORDS), dtype=np.int64)
    first, second = (masked(played, "desk-0001") for played in runs(vectors, 2))
    assert not (first == second).any()
    assert min(p_uniform(first - second)) > 1e-6
