"""The six officers, one per file."""

from consilium.council.role import Role
from consilium.domain import lookup

ROLES = {
    "supervisor": "consilium.council.roles.supervisor:Supervisor",
    "cro": "consilium.council.roles.cro:RiskOfficer",
    "ceo": "consilium.council.roles.ceo:ChiefExecutive",
    "cio": "consilium.council.roles.cio:InvestmentOfficer",
    "cfo": "consilium.council.roles.cfo:FinanceOfficer",
    "researcher": "consilium.council.roles.researcher:Researcher",
}
"""By rank."""


def make_role(name: str) -> Role:
    """Make an officer by name.

    Parameters
    ----------
    name
        A name in ROLES or of an entry point of ``consilium.roles``.

    Raises
    ------
    UnknownName
        No such role; the error lists the known ones.

    Examples
    --------
    >>> make_role("supervisor").name
    'supervisor'
    """
    role: Role = lookup("role", name, ROLES, "consilium.roles")()
    return role
