"""Prices and sizes as integers: exact, comparable, and quick to read from an exchange's text."""

from consilium.domain.errors import DataProblem

DECIMALS = 8
UNIT = 100_000_000
REMEMBERED = 200_000
LARGEST = 2**63 - 1


def to_scaled(text: str) -> int:
    """Read a decimal number as a multiple of 1e-8, exactly.

    Raises
    ------
    DataProblem
        It is not digits with at most one point, has more than eight decimals that are not 0, or does not fit
        into 64 bits: a recorder keeps whole numbers of that width.

    Examples
    --------
    >>> to_scaled("61837.64"), to_scaled("0.00000001"), to_scaled("-2")
    (6183764000000, 1, -200000000)
    """
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit()) or fraction[DECIMALS:].strip("0"):
        raise DataProblem(
            "a price or size must be a number of at most 8 decimals", repr(text), "ask for the message again"
        )
    value = int(whole or "0") * UNIT + int(fraction[:DECIMALS].ljust(DECIMALS, "0"))
    if value > LARGEST:
        raise DataProblem(
            f"a price or size must be <= {LARGEST // UNIT:,}", repr(text[:40]), "ask for the message again"
        )
    return -value if text.startswith("-") else value


def to_float(scaled: int) -> float:
    """Return the nearest float of a scaled number.

    Examples
    --------
    >>> to_float(6183764000000) == 61837.64
    True
    """
    return scaled / UNIT


class ScaledTexts(dict[str, int]):
    """What `to_scaled` gave for each text, times a sign, so that a text seen before costs one look-up.

    It forgets everything when it holds 200,000 texts: memory stays bounded.

    Examples
    --------
    >>> asks = ScaledTexts(-1)
    >>> asks["0.5"], len(asks)
    (-50000000, 1)
    """

    __slots__ = ("sign",)

    def __init__(self, sign: int = 1) -> None:
        super().__init__()
        self.sign = sign

    def __missing__(self, text: str) -> int:
        if not isinstance(text, str):
            raise DataProblem("a price or size must be text", repr(text), "ask for the message again")
        if len(self) >= REMEMBERED:
            self.clear()
        value = self[text] = self.sign * to_scaled(text)
        return value
