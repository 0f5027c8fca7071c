"""What a session promises and what it does not, in plain words, with its own numbers."""

from collections.abc import Mapping
from types import MappingProxyType

from consilium.federated.groups import HONEST
from consilium.federated.parameters import count_of, least_cohort, least_survivors
from consilium.federated.session import LEAST_SECRET, Mode, Terms

GIVES: Mapping[Mode, str] = MappingProxyType(
    {
        Mode.VISIBLE: "The coordinator sees every update, so that it can check each one and enforce the "
        "clip. Nothing is secret from it.",
        Mode.SUM: "The coordinator sees the sum of the survivors' updates, who took part, when, and who fell "
        "silent; it does not see single updates.",
        Mode.GROUPED: "The coordinator sees one sum for each random group, who took part, when, and who fell "
        "silent; it does not see single updates.",
    }
)
LACKS: Mapping[Mode, str] = MappingProxyType(
    {
        Mode.VISIBLE: "The mean withstands no attacker: one participant can move it by its weight times the "
        "clip in each round.",
        Mode.SUM: "It makes no claim against attackers inside: each clips its own update, and nobody can "
        "check it; what one sends beyond the clip shows only if the whole sum is too long.",
        Mode.GROUPED: "Groups that are drawn anew leak by linear algebra over the rounds unless each release "
        "is noised, which this session's is not; with the mean it makes no claim against attackers inside.",
    }
)


def statement(terms: Terms, participants: int, *, admitted: int | None = None) -> tuple[str, ...]:
    """Return the words that go with every report of a session, one sentence or two in each.

    Parameters
    ----------
    terms
        Of the session.
    participants
        N of the round.
    admitted
        Owners of the list: gamma of them may collude, all in one round; ``participants`` if not given.

    Examples
    --------
    >>> for line in statement(Terms(session="s", task="digits"), 300)[:2]:
    ...     print(line)
    Mode sum, 300 participants. The coordinator sees the sum of the survivors' updates, who took part, when,
    and who fell silent; it does not see single updates.
    It makes no claim against attackers inside: each clips its own update, and nobody can check it;
    what one sends beyond the clip shows only if the whole sum is too long.
    """
    mode = terms.mode
    lines = [f"Mode {mode}, {participants} participants. {GIVES[mode]}", LACKS[mode]]
    if mode is not Mode.VISIBLE:
        lines += _secrecy(terms, participants, admitted or participants)
    return (
        *lines,
        "Admission must not be the coordinator's alone: one participant for each admitted owner, from an "
        "owner list signed by another key.",
        "Against the network: signatures on every message, and TLS where a carrier leaves the machine.",
        "Outside of this: side channels, who takes part, what the published model itself reveals, and "
        "whether a colluder's input is right. No noise is added: this session has no differential privacy.",
    )


def _secrecy(terms: Terms, participants: int, admitted: int) -> list[str]:
    grouped = terms.mode is Mode.GROUPED
    colluders = count_of(terms.gamma, participants if grouped else admitted)
    if participants < LEAST_SECRET:
        return [f"With {participants} participants a sum hides nothing from the other one."]
    return [
        f"The coordinator may lie, equivocate or drop messages, and may collude with up to {colluders} "
        f"owners (gamma {terms.gamma:g}): they learn the sum of the others{' of each group' * grouped}, and "
        "nothing else of them in one secure sum but with probability 2^-40. It is trusted for nothing but "
        "that the round ends.",
        "Each sum is secret by itself; sums of several rounds can be subtracted from each other. A "
        "coordinator that lies and gives two rounds nearly the same model learns from the difference of "
        "their sums what changed: one participant's update, where only that one was missing from one of "
        "the two. Nobody checks that a model is the step from the last sum; only noise would hide it, "
        "and none is added.",
        _least(terms, participants, colluders),
    ]


def _least(terms: Terms, participants: int, colluders: int) -> str:
    if terms.mode is Mode.GROUPED:
        return (
            f"A group's sum is of at least {HONEST} participants who do not collude, also where the "
            "coordinator hides others of the group; with fewer nothing of the group is revealed, "
            "and where no number of groups promises that, the round is refused."
        )
    alive = max(terms.least_participants, least_survivors(participants, terms.delta))
    fewest = least_cohort(colluders, terms.delta, terms.least_participants)
    if not fewest:
        return f"With {colluders} colluders and so many dropouts (delta {terms.delta:g}) no round is begun."
    left = max(terms.least_participants, least_survivors(fewest, terms.delta))
    return (
        f"Where all are asked a sum is of at least {alive} participants (delta {terms.delta:g}); where the "
        f"coordinator says that others are missing, of at least {left}, among them {left - colluders} who do "
        "not collude. With fewer nothing is revealed. A participant may ask for more (--least)."
    )
