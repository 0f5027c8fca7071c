"""The charts of the page, as data for plotly.js; a colour ``--name`` is read from the page's style."""

from collections.abc import Mapping, Sequence
from typing import Any

from consilium.app.report.thinning import extremes, strides

Trace = dict[str, Any]
SERIES = 9
_MS = 1_000_000


def colour(place: int) -> str:
    """Name the colour of the n-th line; 0 is the consensus or the account."""
    return f"--s{place % SERIES}"


def layout_of(*, y_title: str, dates: bool = True, **more: Any) -> dict[str, Any]:
    """The layout that all charts share."""
    axis = {"gridcolor": "--grid", "zerolinecolor": "--axis", "linecolor": "--axis", "automargin": True}
    layout: dict[str, Any] = {
        "font": {"color": "--ink", "family": "system-ui, sans-serif", "size": 13},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 60, "r": 16, "t": 8, "b": 40},
        "legend": {"orientation": "h", "y": -0.16, "x": 0, "traceorder": "normal"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "--axis", "activecolor": "--ink"},
        "hoverlabel": {"bgcolor": "--card", "font": {"color": "--ink"}, "bordercolor": "--axis"},
        "hovermode": "x unified" if dates else "closest",
        "xaxis": {**axis, "type": "date"} if dates else axis,
        "yaxis": {**axis, "title": {"text": y_title}},
    }
    return layout | more


def line_of(points: Sequence[Sequence[Any]], name: str, place: int, **more: Any) -> Trace:
    """A line of (time, value) points, thinned."""
    kept = extremes([value for _, value in points])
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [int(points[i][0]) // _MS for i in kept],
        "y": [points[i][1] for i in kept],
        "line": {"color": colour(place), "width": 2, **more.pop("line", {})},
        **more,
    }


def equity(trading: Mapping[str, Any]) -> tuple[list[Trace], dict[str, Any]] | None:
    """The paper account against buy and hold."""
    if not trading.get("equity"):
        return None
    traces = [line_of(trading["equity"], "paper account", 0)]
    if trading.get("buy_and_hold"):
        traces.append(
            line_of(trading["buy_and_hold"], "buy and hold", 1, line={"dash": "dash", "width": 1.5})
        )
    return traces, layout_of(y_title="Equity")


NO_DRAWDOWN = "The account never traded, so there is no drawdown to draw."


def idle(trades: Any, below: Sequence[Sequence[Any]]) -> bool:
    """Whether an account never traded and never moved.

    Examples
    --------
    >>> idle(0, [[0, 0.0], [1, 0.0]]), idle(0, [[0, 0.0], [1, 0.02]]), idle(None, [])
    (True, False, False)
    """
    return trades == 0 and not any(value for _, value in below)


def drawdown(trading: Mapping[str, Any]) -> tuple[list[Trace], dict[str, Any]] | None:
    """How far the account was below its peak; None for one that never traded."""
    if not trading.get("drawdown") or idle(trading.get("trades"), trading["drawdown"]):
        return None
    below = [[ts, None if value is None else -abs(value)] for ts, value in trading["drawdown"]]
    trace = line_of(below, "drawdown", 2, fill="tozeroy", line={"width": 1.5})
    layout = layout_of(y_title="Below peak", showlegend=False)
    layout["yaxis"] |= {"tickformat": ".1%", "rangemode": "tozero"}
    return [trace], layout


def calibration(
    curves: Mapping[str, Mapping[str, Sequence[float]]],
) -> tuple[list[Trace], dict[str, Any]] | None:
    """Observed frequency against forecast probability, with the diagonal of a calibrated forecaster."""
    filled = {name: curve for name, curve in curves.items() if curve.get("predicted")}
    if not filled:
        return None
    seen = [v for curve in filled.values() for v in (*curve["predicted"], *curve["observed"])]
    ends = [min(seen), max(seen)]
    traces: list[Trace] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "calibrated",
            "x": ends,
            "y": ends,
            "line": {"color": "--axis", "dash": "dot", "width": 1.5},
            "hoverinfo": "skip",
        }
    ]
    for place, (name, curve) in enumerate(sorted(filled.items(), key=lambda item: item[0] != "consensus")):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": list(curve["predicted"]),
                "y": list(curve["observed"]),
                "customdata": list(curve.get("count") or []),
                "hovertemplate": "forecast %{x:.3f}<br>observed %{y:.3f}<br>%{customdata:,} cases",
                "line": {"color": colour(place), "width": 2.5 if name == "consensus" else 1.2},
                "marker": {"size": 7 if name == "consensus" else 5, "symbol": place},
            }
        )
    layout = layout_of(y_title="Observed frequency", dates=False)
    layout["xaxis"] = {**layout["xaxis"], "title": {"text": "Forecast probability"}}
    layout["legend"] = {"orientation": "h", "y": -0.22, "x": 0}
    return traces, layout


def weights(series: Mapping[str, Sequence[Any]]) -> tuple[list[Trace], dict[str, Any]] | None:
    """The weight of each model over time, stacked to 1."""
    models = [name for name in series if name != "ts"]
    if not series.get("ts") or not models:
        return None
    kept = strides(len(series["ts"]))
    x = [int(series["ts"][i]) // _MS for i in kept]
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": x,
            "y": [series[name][i] for i in kept],
            "stackgroup": "weights",
            "line": {"color": colour(place + 1), "width": 1, "shape": "hv"},
            "hovertemplate": "%{y:.3f}",
        }
        for place, name in enumerate(models)
    ]
    layout = layout_of(y_title="Weight")
    layout["yaxis"] |= {"range": [0, 1]}
    return traces, layout
