"""The charts of the judge's page that need axes, as data for plotly.js."""

from collections.abc import Mapping, Sequence
from typing import Any

from consilium.app.report.charts import Trace, calibration, idle, layout_of, line_of, weights
from consilium.app.report.frame import Chart
from consilium.app.report.judge.economics import trades_of
from consilium.app.report.judge.forecasts import curve_of
from consilium.app.report.judge.primary import month_kind
from consilium.app.report.reading import Report, pairs, part, real, reals, rows, word_kind

_COLOURS = {"better": "--good", "worse": "--bad", "even": "--even"}


def charts_of(report: Report) -> dict[str, Chart | None]:
    """All charts by the id of their place; None for one without data."""
    economics = part(report, "economics")
    series = part(report, "weights")
    return {
        "chart-months": months(rows(report.get("months"))),
        "chart-weights": weights({k: v for k, v in series.items() if reals(v)}) if series else None,
        "chart-calibration": calibration(_curves(report)),
        "chart-coverage": coverage(curve_of(report)),
        "chart-equity": equity(economics),
        "chart-drawdown": drawdown(economics),
    }


def _curves(report: Report) -> dict[str, Mapping[str, Any]]:
    found = {name: part(report, "calibration", name) for name in part(report, "calibration")}
    return {
        name: curve
        for name, curve in found.items()
        if reals(curve.get("predicted")) and len(reals(curve.get("observed"))) == len(curve["predicted"])
    }


def months(found: Sequence[Mapping[str, Any]]) -> Chart | None:
    """The difference of each month with its interval, coloured by the interval; hatched without one."""
    shown = [row for row in found if real(row.get("difference")) is not None]
    if not shown:
        return None
    known = [row for row in shown if real(row.get("low")) is not None and real(row.get("high")) is not None]
    rest = [row for row in shown if row not in known]
    traces = []
    if known:
        traces.append(_bars("with interval", known, {}))
        traces[0]["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [row["high"] - row["difference"] for row in known],
            "arrayminus": [row["difference"] - row["low"] for row in known],
            "color": "--ink",
            "thickness": 1.2,
            "width": 4,
        }
    if rest:
        traces.append(_bars("no interval", rest, {"pattern": {"shape": "/", "fgcolor": "--card"}}))
    layout = layout_of(y_title="Half-Brier difference", dates=False, showlegend=False, bargap=0.5)
    order = [str(row.get("month")) for row in shown]
    layout["xaxis"] = {
        **layout["xaxis"],
        "type": "category",
        "categoryorder": "array",
        "categoryarray": order,
    }
    return traces, layout | {"barmode": "overlay"}


def _bars(name: str, shown: Sequence[Mapping[str, Any]], marker: Mapping[str, Any]) -> Trace:
    return {
        "type": "bar",
        "name": name,
        "x": [str(row.get("month")) for row in shown],
        "y": [row["difference"] for row in shown],
        "marker": {
            "color": [_COLOURS[word_kind(month_kind(row))] for row in shown],
            "opacity": 0.75,
            **marker,
        },
        "hovertemplate": "%{x}: %{y:.6f}<extra></extra>",
    }


def coverage(curve: Mapping[str, Any]) -> Chart | None:
    """Accuracy on the surest share of rows."""
    share, accuracy = reals(curve.get("coverage")), reals(curve.get("accuracy"))
    if not share or len(share) != len(accuracy):
        return None
    trace: Trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "consensus",
        "x": share,
        "y": accuracy,
        "line": {"color": "--s0", "width": 2},
        "hovertemplate": "surest %{x:.0%}: %{y:.1%} right<extra></extra>",
    }
    layout = layout_of(y_title="Accuracy", dates=False, showlegend=False)
    layout["xaxis"] = {**layout["xaxis"], "title": {"text": "Share of rows spoken on"}, "tickformat": ".0%"}
    layout["yaxis"] |= {"tickformat": ".1%"}
    return [trace], layout


def equity(found: Mapping[str, Any]) -> Chart | None:
    """The account against buy and hold, the same at equal volatility, and doing nothing."""
    own = pairs(found.get("equity"))
    if not own:
        return None
    traces = [line_of(own, "paper account", 0)]
    rivals = (
        ("buy and hold", found.get("buy_and_hold"), 1, "dash"),
        ("held at equal volatility", part(found, "held_equal_volatility").get("equity"), 3, "dashdot"),
    )
    for name, line, place, dash in rivals:
        if pairs(line):
            traces.append(line_of(pairs(line), name, place, line={"dash": dash, "width": 1.5}))
    ends = [[own[0][0], own[0][1]], [own[-1][0], own[0][1]]]
    traces.append(line_of(ends, "flat", 4, line={"dash": "dot", "width": 1.5, "color": "--axis"}))
    return traces, layout_of(y_title="Equity")


def drawdown(found: Mapping[str, Any]) -> Chart | None:
    """How far the account was below its peak; None for one that never traded."""
    below = [[ts, -abs(value)] for ts, value in pairs(found.get("drawdown"))]
    if not below or not pairs(found.get("equity")) or idle(trades_of(found), below):
        return None
    trace = line_of(below, "drawdown", 2, fill="tozeroy", line={"width": 1.5})
    layout = layout_of(y_title="Below peak", showlegend=False)
    layout["yaxis"] |= {"tickformat": ".1%", "rangemode": "tozero"}
    return [trace], layout
