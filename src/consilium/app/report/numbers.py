"""How the report writes numbers."""

from typing import Any

from consilium.domain.time import length_text
from consilium.domain.wording import counted

NOTHING = "–"
FIGURE_TITLES = {
    "log_loss": ("Log-loss", "↓"),
    "brier": ("Brier", "↓"),
    "ece": ("Calibration error", "↓"),
    "mcc": ("MCC", "↑"),
    "macro_f1": ("Macro F1", "↑"),
    "ic": ("Rank IC", "↑"),
    "accuracy": ("Accuracy", "↑"),
    "coverage": ("Coverage", ""),
}
TRADING_TITLES = {
    "net_return": "Net return",
    "sharpe": "Sharpe",
    "sharpe_se": "± error",
    "sortino": "Sortino",
    "max_drawdown": "Max drawdown",
    "turnover": "Turnover",
    "fees": "Fees",
    "trades": "Trades",
    "halts": "Halts",
}
_SHARES = {"accuracy", "coverage", "net_return", "max_drawdown", "share"}


def percent(value: float, digits: int = 1) -> str:
    """Write a fraction as a percentage; small ones keep two digits.

    Examples
    --------
    >>> percent(-0.031), percent(0.00012), percent(0.0)
    ('-3.1 %', '0.012 %', '0.0 %')
    """
    if 0.0 < abs(value) < 0.001:
        return f"{100 * value:.2g} %"
    return f"{100 * value:,.{digits}f} %"


def number(name: str, value: Any) -> str:
    """Write a value by the name of its field.

    Examples
    --------
    >>> number("accuracy", 0.3721), number("log_loss", 1.0742), number("trades", 1204), number("sharpe", None)
    ('37.2 %', '1.0742', '1,204', '–')
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return str(value)
    if name in _SHARES:
        return percent(float(value))
    if isinstance(value, int):
        return f"{value:,}"
    if name in FIGURE_TITLES:
        return f"{value:.4f}"
    return f"{value:,.2f}"


def count_told(value: Any, noun: str) -> str:
    """Write a count with its noun, also where it is not known.

    Examples
    --------
    >>> count_told(1, "trade"), count_told(None, "trade")
    ('1 trade', '– trades')
    """
    return f"{NOTHING} {noun}s" if value is None else counted(value, noun)


def duration(interval_ns: int) -> str:
    """Write the length of a bar.

    Examples
    --------
    >>> duration(3_600 * 10**9), duration(15 * 60 * 10**9)
    ('1 h', '15 min')
    """
    return length_text(interval_ns)


def after_label(text: str, label: str) -> str:
    """Drop a label that a text already begins with, so that it is not printed twice.

    Examples
    --------
    >>> after_label("Verdict: better than climatology.", "Verdict")
    'better than climatology.'
    """
    return text.removeprefix(f"{label}:").strip()
