"""What a desk chooses about its council; the thresholds of the table stay beside the rows that use them."""

from dataclasses import dataclass

from consilium.council.policy import PROFILES
from consilium.domain import UnknownName
from consilium.domain.checks import require_at_least, require_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class CouncilRules:
    """Settings of a council.

    Parameters
    ----------
    floor_usd
        Capital floor: equity below it freezes (F4).
    universe
        Base symbols; empty for all that is followed.
    start_profile
        Where a fresh desk begins: a hold of the CEO's that only its own rules, or two persons, loosen.
    late_s, lost_s
        Seconds after which a source is late (paused), and lost (frozen where positions are open). Two, and
        five, of its own intervals count where they are longer, a day at most; of the desk's account where it
        says none.
    silent_s
        Seconds of silence after which a source is called silent, and an operator may retire it. Five of its
        own intervals count where they are longer; for who wants to retire it a day at most.
    future_s
        Seconds that a report may lie in the future when it comes.
    trusted_sources
        Names of outside sources whose figures may loosen too; all others may only tighten.
    one_person
        Whether the desk has one operator: the second person is then the same one, a day later and freshly
        authenticated.
    fresh_auth_s
        Seconds since which that one must have authenticated.
    approval_s
        Seconds that a loosening waits for its second person; on a desk of one twice that.
    disabled_rules
        Rows of the table that never fire; for measuring what a rule is worth.

    Raises
    ------
    InvalidValue
        A length of time below 0, or a floor that is not positive.
    UnknownName
        No such profile.
    """

    floor_usd: float = 1000.0
    universe: tuple[str, ...] = ()
    start_profile: str = "MICRO"
    late_s: float = 60.0
    lost_s: float = 300.0
    silent_s: float = 300.0
    future_s: float = 5.0
    trusted_sources: tuple[str, ...] = ()
    one_person: bool = False
    fresh_auth_s: float = 900.0
    approval_s: float = 86_400.0
    disabled_rules: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        require_positive("floor_usd", self.floor_usd)
        for name in ("late_s", "lost_s", "silent_s", "future_s", "fresh_auth_s", "approval_s"):
            require_at_least(name, getattr(self, name), 0.0)
        if self.start_profile not in PROFILES:
            raise UnknownName("start_profile", self.start_profile, PROFILES)
