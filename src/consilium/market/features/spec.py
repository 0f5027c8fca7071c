"""What is known of one feature."""

from dataclasses import dataclass

from consilium.market.features.term import Term


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureSpec:
    """A feature: its name, family, formula, meaning, and the term that computes it.

    Parameters
    ----------
    name, family
        Its name, and ``candle``, ``indicator`` or ``book``.
    formula
        As a reader writes it.
    meaning
        A few words.
    term
        How it is computed.
    warm_up_seconds
        Of a feature of books: seconds of an unbroken recording that it needs, >= 0. Default 0.

    Examples
    --------
    >>> from consilium.market.features.term import CLOSE, lag, log
    >>> FeatureSpec(name="momentum", family="candle", formula="ln(c/c2)", meaning="return of 2 bars",
    ...     term=log(CLOSE / lag(CLOSE, 2))).warm_up
    3
    """

    name: str
    family: str
    formula: str
    meaning: str
    term: Term
    warm_up_seconds: int = 0

    @property
    def warm_up(self) -> int:
        """Bars that it needs: rows from ``warm_up - 1`` on are finite, those before are NaN.

        A feature of books needs time and not bars: 1.
        """
        return self.term.lead + 1


def table(family: str, *rows: tuple[str, str, str, Term]) -> dict[str, FeatureSpec]:
    """Make a family's table from rows (name, formula, meaning, term)."""
    return {
        name: FeatureSpec(name=name, family=family, formula=formula, meaning=meaning, term=term)
        for name, formula, meaning, term in rows
    }
