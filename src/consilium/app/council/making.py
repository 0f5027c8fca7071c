"""The council of a service, by its settings."""

from dataclasses import replace

from consilium.app.settings import Settings
from consilium.council.policy import BASE_POLICY
from consilium.council.roles import ROLES, make_role
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import digest

ALWAYS = ("supervisor", "cro")
"""Officers that cannot be left out."""


def make_council(settings: Settings, without: frozenset[str] = frozenset()) -> CouncilService:
    """Make a council that has heard nothing yet, without some rows of its table where those are measured.

    Examples
    --------
    >>> make_council(Settings()).policy.profile
    'MICRO'
    """
    section = settings.council
    chosen = section.model_dump(mode="json", exclude={"alerts", "tick_s", "lost_s", "disk_gb"})
    rules = CouncilRules(
        floor_usd=section.floor_usd,
        universe=section.universe,
        start_profile=section.start_profile,
        trusted_sources=section.trusted_sources,
        one_person=section.one_person,
        disabled_rules=without,
    )
    sitting = {*section.roles, *ALWAYS}
    return CouncilService(
        rules=rules,
        roles={name: make_role(name) for name in ROLES if name in sitting},
        base=replace(BASE_POLICY, symbols=section.universe or None),
        config_hash=digest(chosen)[:32],
        started_at=0,
    )
