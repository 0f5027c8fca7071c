"""What a participant refuses, each with the value, the bound and the cure."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.messages import NO_ROOT, VERSION, Advertise, Header, Phase, Signed, body_digest
from consilium.federated.primitives import verify
from consilium.federated.roster import Cohort, Member, fold, root_of
from consilium.federated.secure_sum.terms import Floors, SumParams

LEAVE = "leave this attempt and ask why"
Bits = NDArray[np.bool_]


def check_floors(params: SumParams, floors: Floors) -> None:
    """Refuse terms below the participant's own floors."""
    lowest = (
        ("participants N", params.participants, floors.participants),
        ("survivors M", params.survivors, floors.survivors),
        ("neighbours k", params.neighbours, floors.neighbours),
        ("threshold t", params.threshold, floors.threshold),
        ("margin 2 t - k", 2 * params.threshold - params.neighbours, floors.margin),
        ("noise variance", params.noise_variance, floors.noise_variance),
    )
    for what, value, bound in lowest:
        if value < bound:
            raise InvalidValue(f"{what} must be >= {bound}, this participant's floor", value, LEAVE)
    highest = (
        ("clip_int", params.clip_int, floors.clip_int),
        ("dimension", params.dimension, floors.dimension),
        ("groups", params.groups, floors.groups),
    )
    for what, value, bound in highest:
        if value > bound:
            raise InvalidValue(f"{what} must be <= {bound}, this participant's bound", value, LEAVE)


def check_fresh(params: SumParams, session: str, latest: tuple[int, int] | None) -> None:
    """Refuse another session, and a round or attempt that was already begun."""
    if params.session != session:
        raise InvalidValue(
            f"session must be '{session}'", repr(params.session), "send it to those of that one"
        )
    if latest is not None and (params.round, params.attempt) <= latest:
        raise InvalidValue(
            f"round and attempt must come after {latest[0]}.{latest[1]}, which was begun",
            f"{params.round}.{params.attempt}",
            "start a new attempt: none is played twice",
        )


def check_latest(identity: tuple[str, int, int], latest: tuple[int, int] | None) -> None:
    """Refuse to go on in an attempt after a later one was begun: what it releases could open both sums."""
    if latest is not None and identity[1:] < latest:
        raise InvalidValue(
            f"only the last attempt begun, {latest[0]}.{latest[1]}, may go on",
            f"{identity[1]}.{identity[2]}",
            "go on with that one, or begin the next round",
        )


def check_second(params: SumParams, earlier: SumParams, newcomers: int, floors: Floors) -> None:
    """Refuse another sum of an update whose first sum could still be opened.

    To open the sum before takes t neighbours of each of its owners. Who takes part here releases nothing
    there any more: of M survivors here all but c liars and those who were not asked there. Where all are
    neighbours fewer than t may be left; elsewhere x can hold t shares of each of M - c honest owners only if
    ``x k >= t (M - c)``, but for those who were drawn more often than others: a quarter allows for that.

    Parameters
    ----------
    params, earlier
        Terms of this attempt, and of one of the same round in which a masked vector was sent.
    newcomers
        Who is asked in this one and was not in that one.
    floors
        Of this participant.
    """
    n, k, t = earlier.participants, earlier.neighbours, earlier.threshold
    enough = t if k == n - 1 else 4 * t * (earlier.survivors - floors.colluders) // (5 * k)
    bound = n - enough + 1 + floors.colluders + newcomers
    if params.survivors < bound:
        raise InvalidValue(
            f"survivors M must be >= {bound} after attempt {earlier.round}.{earlier.attempt}, whose sum may "
            "still come out",
            params.survivors,
            "begin the next round",
        )


def check_opening(header: Header, session: str, coordinator: str, member: Member) -> None:
    """Refuse what is not the announcement of this session by its coordinator."""
    if header.phase is not Phase.ANNOUNCE:
        raise phase_error(header.phase, Phase.ANNOUNCE.name)
    came = (header.session, header.sender, header.key_epoch, header.root)
    if came != (session, coordinator, member.key_epoch, NO_ROOT):
        raise InvalidValue(
            f"an announcement must be of session '{session}' by '{coordinator}'",
            f"'{header.session}' by '{header.sender}'",
            "send it to those of that session",
        )


_FIELDS = ("session", "round", "attempt", "sender", "key_epoch", "version", "params", "root")


def check_header(
    header: Header, params: SumParams, sender: tuple[str, int], terms: bytes, root: bytes
) -> None:
    """Refuse a message of another session, round, attempt, sender, key, terms or roster."""
    expected = (*params.identity, *sender, VERSION, terms, root)
    for name, bound in zip(_FIELDS, expected, strict=True):
        came = getattr(header, name)
        if came == bound:
            continue
        if isinstance(bound, bytes):
            raise InvalidValue(
                f"{name} of a message must have digest {bound.hex()[:16]}",
                came.hex()[:16],
                "show everybody the same terms and the same roster",
            )
        raise InvalidValue(f"{name} of a message must be {bound}", came, "send messages of this attempt only")


def check_size(params: SumParams, message: Signed) -> None:
    """Refuse a body that is longer than any honest one of its phase."""
    most = params.most_bytes(message.header.phase)
    if len(message.body) > most:
        raise InvalidValue(
            f"a body of {message.header.phase.name} must have at most {most} bytes",
            len(message.body),
            "send what the terms ask for",
        )


def check_signature(message: Signed, member: Member) -> None:
    """Refuse a body that is not the signed one, and a signature that is not the sender's."""
    if body_digest(message.body) != message.header.body:
        raise InvalidValue(
            f"body of a message must have digest {message.header.body.hex()[:16]}",
            body_digest(message.body).hex()[:16],
            "send it again",
        )
    if not verify(member.signing_key, message.signature, message.header.encode()):
        raise InvalidValue(
            f"signature must be that of '{message.header.sender}'", "another", "sign with the registered key"
        )


def check_cohort(params: SumParams, cohort: Cohort) -> None:
    """Refuse terms for other owners than those this participant knows to be admitted."""
    if (params.cohort, params.participants) != (cohort.digest, len(cohort)):
        raise InvalidValue(
            f"cohort must be {cohort.digest.hex()[:16]} of {len(cohort)}",
            f"{params.cohort.hex()[:16]} of {params.participants}",
            "publish who takes part before the attempt",
        )


def check_counter(written: int, counted: int) -> None:
    """Refuse to go on as a copy: the SecretStore has seen other steps than this participant made."""
    if written != counted:
        raise InvalidValue(
            f"records of this participant must be {counted}, as its SecretStore counts",
            written,
            "a copy was restored: take part in the next attempt",
        )


def check_roster(params: SumParams, present: Bits, own: int) -> None:
    """Refuse a roster without the participant itself or with too few."""
    size = int(present.sum())
    if not present[own]:
        raise InvalidValue("a roster must list its receiver", "not listed", LEAVE)
    if size < params.survivors:
        raise InvalidValue(f"a roster must have >= {params.survivors} participants", size, LEAVE)


def check_root(signed: bytes, listed: bytes) -> None:
    """Refuse a roster under another root than its header names."""
    if signed != listed:
        raise InvalidValue(f"root of a roster must be {signed.hex()[:16]}", listed.hex()[:16], LEAVE)


def check_drawn(params: SumParams, drawn: int) -> None:
    """Refuse to share with fewer neighbours than the threshold."""
    if drawn < params.threshold:
        raise InvalidValue(f"neighbours must be >= {params.threshold}", drawn, LEAVE)


def check_own_leaf(came: Advertise, sent: Advertise) -> None:
    """Refuse a roster that has other keys for this participant than it advertised."""
    if came != sent:
        raise InvalidValue("the own leaf must have the keys advertised", "swapped keys", LEAVE)


def check_group(params: SumParams, present: Bits, members: Bits, own: int) -> None:
    """Refuse a group without the participant itself, with strangers, or with too few."""
    if not members[own] or bool((members & ~present).any()):
        raise InvalidValue("a group must list its receiver, and only those present", "another list", LEAVE)
    if int(members.sum()) < params.survivors:
        raise InvalidValue(f"a group must have >= {params.survivors} members", int(members.sum()), LEAVE)


def check_proof(hashes: list[tuple[int, bytes]], siblings: bytes, present: Bits, root: bytes) -> None:
    """Refuse leaves that do not lead to the signed root."""
    if root_of(fold(hashes, siblings, len(present)), present) != root:
        raise InvalidValue(f"leaves must lead to the root {root.hex()[:16]}", "they do not", LEAVE)


def check_leaf_signature(header: Header, signature: bytes, cohort: Cohort, index: int) -> None:
    """Refuse keys that their owner did not sign for this attempt."""
    if not verify(cohort.member(index).signing_key, signature, header.encode()):
        raise InvalidValue(f"keys of '{cohort.owners[index]}' must be signed by it", "swapped keys", LEAVE)


def check_shared(params: SumParams, shared: Bits, members: Bits, own: int, neighbours: Iterable[int]) -> None:
    """Refuse to mask where the participant, its neighbours or too many others have not shared."""
    if not shared[own]:
        raise InvalidValue("the list of those who shared must have its receiver", "not listed", LEAVE)
    count, beside = int((shared & members).sum()), sum(bool(shared[j]) for j in neighbours)
    if count < params.survivors:
        raise InvalidValue(f"those who shared must be >= {params.survivors}", count, "start a new attempt")
    if beside < params.threshold:
        raise InvalidValue(
            f"neighbours who shared must be >= {params.threshold}", beside, "start a new attempt"
        )


def check_letters(params: SumParams, unreadable: int) -> None:
    """Refuse where more letters do not open than neighbours may fail: rosters differ, or many lie."""
    most = params.neighbours - params.threshold
    if unreadable > most:
        raise InvalidValue(
            f"letters that do not open must be <= {most}", unreadable, f"compare the roster's root; {LEAVE}"
        )


def check_survivors(params: SumParams, alive: Bits, shared: Bits, members: Bits, own: int,
                    neighbours: Iterable[int]) -> None:  # fmt: skip
    """Refuse a list of survivors without the participant, with strangers, or with too few."""
    if not alive[own]:
        raise InvalidValue(
            "a list of survivors must have its receiver",
            "not listed",
            "its vector came late: join the next round",
        )
    if bool((alive & members & ~shared).any()):
        raise InvalidValue("survivors must be of those who shared", "others", LEAVE)
    count, beside = int((alive & members).sum()), sum(bool(alive[j]) for j in neighbours)
    if count < params.survivors:
        raise InvalidValue(f"survivors must be >= {params.survivors}", count, LEAVE)
    if beside < params.threshold:
        raise InvalidValue(f"neighbours among the survivors must be >= {params.threshold}", beside, LEAVE)


def check_acks(params: SumParams, valid: int) -> None:
    """Refuse to release shares before enough neighbours acknowledged the same list."""
    if valid < params.threshold:
        raise InvalidValue(
            f"neighbours who acknowledged the same list must be >= {params.threshold}", valid, LEAVE
        )


def check_vector(params: SumParams, vector: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a vector that cannot wrap the ring; refuse another shape, type or size."""
    values = np.asarray(vector)
    if values.shape != (params.dimension,):
        raise InvalidValue(
            f"a vector must have shape ({params.dimension},)", values.shape, "flatten the update"
        )
    if values.dtype.kind != "i":
        raise InvalidValue("a vector must be of signed integers", values.dtype, "quantise it")
    most = max(int(values.max()), -int(values.min()))
    if most > params.most_coordinate:
        raise InvalidValue(
            f"a coordinate must be <= {params.most_coordinate} in size", most, "clip the update to its norm"
        )
    return values


def phase_error(phase: Phase, expected: str) -> InvalidValue:
    """Return the error of a message that comes early or late."""
    return InvalidValue(f"the message now must be {expected}", phase.name, "late and early ones are not used")
