"""The economics of a verdict: accounts, what they are measured against, and the word."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from consilium.app.backtest.economics import Economics
from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.economics import Trials, account_daily, daily_difference
from consilium.app.judge.economics_daily import difference_of
from consilium.app.judge.economics_luck import deflated, on_days, overfitting
from consilium.app.judge.economics_measure import held_equal_volatility, largest_worth
from consilium.app.settings import Costs, Settings
from consilium.domain import DAY_NS, InvalidValue
from consilium.market.candles import CandleSeries
from consilium.market.simulator import simulate
from consilium.trading.signals import SignalSeries
from economics_cases import Case, by_chance, case, knowing, nobody_acts


def market(seed: int = 1, *, symbols: int = 3, bars: int = 1_500, **more: Any) -> dict[str, CandleSeries]:
    return simulate(symbols=symbols, bars=bars, seed=seed, kind="garch", **more).series


@pytest.fixture(scope="module")
def world() -> Case:
    return case(market())


def named(section: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {account["name"]: account for account in section["accounts"]}


def test_all_accounts_are_run_and_all_is_plain_json(world: Case) -> None:
    section = world.section(by_chance(world, 1))
    assert json.loads(json.dumps(section, allow_nan=False)) == section
    assert list(named(section)) == [
        "1x costs",
        "2x costs",
        "3x costs",
        "one bar later",
        "seed gates",
        "no limits",
    ]
    assert section["word"] == "does not pay"
    assert set(section["books"]) == {"chance"}
    assert len(section["daily"]) == named(section)["1x costs"]["days"]
    grown = np.prod([1.0 + r for _, r in section["daily"]])
    assert grown - 1.0 == pytest.approx(named(section)["1x costs"]["net_return"])


@pytest.mark.promise("004", "net return at 1x, 2x and 3x costs and one bar later")
def test_costs_multiply_fees_spread_and_impact(world: Case) -> None:
    signals = by_chance(world, 2)["edge"].signals
    costs = {"maker_fee": 0.003, "taker_fee": 0.003, "half_spread": 0.0003, "impact_coefficient": 3.0}
    dear = BacktestRequest.checked(settings=Settings(costs=Costs(**costs)), horizon=1)
    economics = world.economics
    other = Economics(dear, economics.panel, economics.start_ts).account(signals, limits=True)
    thrice = economics.account(signals, limits=True, costs=3.0)
    assert thrice.fills == other.fills
    once = economics.account(signals, limits=True)
    assert once.net_return > economics.account(signals, limits=True, costs=2.0).net_return > thrice.net_return


def test_one_bar_later_every_signal_comes_at_the_next_close(world: Case) -> None:
    signals = by_chance(world, 3)["edge"].signals
    economics = world.economics
    moved = []
    for s in signals:
        closes = economics.panel[s.symbol].ts_close
        at = np.searchsorted(closes, s.ts_event) + 1
        inside = at < len(closes)
        moved.append(
            SignalSeries(
                symbol=s.symbol,
                ts_event=closes[at[inside]],
                direction=s.direction[inside],
                actionable=s.actionable[inside],
            )
        )
    late = economics.account(signals, limits=True, delay=1)
    assert late.fills
    assert late.fills == economics.account(moved, limits=True).fills


def test_an_account_that_never_trades_has_a_result_and_no_excuse(world: Case) -> None:
    section = world.section(nobody_acts(world))
    assert section["word"] == "does not pay"
    assert section["text"].startswith("The paper account made no trade and kept its money")
    assert section["held_equal_volatility"]["share"] == 0.0
    assert section["held_equal_volatility"]["net_return"] == 0.0
    assert section["permutation"]["p_value"] == 1.0
    assert section["deflated_sharpe"]["reason"] == "returns do not vary"
    assert section["capacity"]["largest"] is None
    assert {account["net_return"] for account in section["accounts"]} == {0.0}
    assert {(account["sharpe"], account["reason"]) for account in section["accounts"]} == {(None, "no trade")}
    json.dumps(section, allow_nan=False)


def test_below_thirty_days_there_are_words_and_no_ratio() -> None:
    short = case(market(bars=700))
    section = short.section(by_chance(short, 1))
    account = named(section)["1x costs"]
    assert account["days"] < 30
    assert (account["sharpe"], account["sharpe_se"], account["sortino"]) == (None, None, None)
    assert account["reason"] == "fewer than 30 days"
    assert section["deflated_sharpe"]["reason"] == "fewer than 30 days"
    assert section["held_equal_volatility"]["share"] is None
    assert section["overfitting"]["reason"].startswith("not applicable: ")
    assert (
        "There is no Sharpe ratio and no comparison at equal volatility: fewer than 30 days."
        in section["text"]
    )


def test_a_profit_that_costs_or_a_bar_take_away_is_told(world: Case) -> None:
    # what a bar earns covers one round trip of .22 % and some impact, and not two
    section = world.section(knowing(world, lambda r: (r > 0.0028) & (r < 0.0042)))
    accounts = named(section)
    assert accounts["1x costs"]["net_return"] > 0.0 > accounts["2x costs"]["net_return"]
    assert accounts["one bar later"]["net_return"] < 0.0
    assert "At twice the costs the profit of " in section["text"]
    assert "With every signal one bar later the profit of " in section["text"]


def test_who_knows_the_next_bar_pays_and_nobody_else_does(world: Case) -> None:
    wise = knowing(world, lambda r: r > 0.006)
    _, returns = account_daily(world.economics.account(wise["edge"].signals, limits=True))
    plain = world.trials()
    # the account is one of its own variants, and the best in every part of the time
    trials = Trials(
        day=plain.day, daily=np.column_stack([returns, plain.daily]), names=("main", *plain.names)
    )
    section = world.section(wise, trials)
    assert section["word"] == "pays after costs"
    assert section["overfitting"]["probability"] < 0.2
    assert section["permutation"]["p_value"] < 0.01
    assert section["deflated_sharpe"]["probability"] > 0.95
    assert "At twice the costs" not in section["text"]
    luck = world.section(by_chance(world, 8), trials)
    assert luck["word"] == "does not pay"


def test_what_is_held_moves_as_much_as_the_account(world: Case) -> None:
    account = world.economics.account(by_chance(world, 4)["edge"].signals, limits=True)
    ts, value = world.economics.basket()
    found = held_equal_volatility(account, (ts, value), traded=True)
    assert 0.0 < found["share"] < 1.0
    assert found["held_volatility"] == pytest.approx(found["volatility"], rel=1e-6)
    whole = value[-1] / account.initial_cash - 1.0
    assert found["net_return"] == pytest.approx(found["share"] * whole)
    assert found["equity"][-1][1] == pytest.approx(account.initial_cash * (1.0 + found["net_return"]))


def test_an_account_that_moves_more_than_the_basket_is_compared_with_the_whole_of_it(world: Case) -> None:
    account = world.economics.account(by_chance(world, 4)["edge"].signals, limits=True)
    ts, value = world.economics.basket()
    calm = value[0] * (value / value[0]) ** 0.001
    found = held_equal_volatility(account, (ts, calm), traded=True)
    assert found["share"] == 1.0
    assert "none borrowed" in found["reason"]


def test_more_money_fills_less_and_earns_less_of_itself(world: Case) -> None:
    rows = world.section(knowing(world, lambda r: r > 0.006))["capacity"]["rows"]
    assert [row["equity"] for row in rows] == [1e4, 1e5, 1e6, 1e7]
    for small, large in pairwise(rows):
        assert large["net_return"] < small["net_return"]
        assert large["turnover"] < small["turnover"]
    assert all(0.0 <= row["cancelled"] < 1.0 for row in rows)
    assert rows[-1]["cancelled"] > rows[0]["cancelled"]


def test_capacity_stops_at_the_first_size_that_loses(world: Case) -> None:
    found = world.section(by_chance(world, 1, often=0.5))["capacity"]
    assert found["rows"][0]["net_return"] < 0.0
    assert (found["largest"], found["text"]) == (None, None)


@pytest.mark.parametrize(
    ("profits", "largest", "text"),
    [
        (
            (10.0, 95.0, 800.0),
            1e6,
            "More money earned more at every size that was tried, up to 1,000,000 at the start.",
        ),
        (
            (10.0, 95.0, 170.0),
            1e5,
            "More money earned more up to 100,000 at the start; at 1,000,000 it earned hardly more.",
        ),
        (
            (10.0, 95.0, 95.0),
            1e5,
            "More money earned more up to 100,000 at the start; at 1,000,000 it earned no more.",
        ),
        ((10.0, -4.0, 800.0), 1e4, "It earned at 10,000 at the start; at 100,000 it lost."),
        ((10.0, 0.0), 1e4, "It earned at 10,000 at the start; at 100,000 it earned nothing."),
        ((-10.0, 95.0), None, None),
    ],
)
def test_capacity_is_where_more_money_no_longer_earns_more(
    profits: tuple[float, ...], largest: float | None, text: str | None
) -> None:
    rows = [{"equity": 1e4 * 10.0**k, "profit": profit} for k, profit in enumerate(profits)]
    assert largest_worth(rows) == {"largest": largest, "text": text}


def test_the_text_tells_where_capacity_ended_and_whose_chance_is_whose(world: Case) -> None:
    section = world.section(knowing(world, lambda r: r > 0.006))
    rows, size = section["capacity"]["rows"], section["capacity"]["largest"]
    # impact and the share of the volume leave the largest size little: all sizes earned, and not all count
    assert all(row["profit"] > 0.0 for row in rows)
    assert size < rows[-1]["equity"]
    assert (
        f"More money earned more up to {size:,.0f} at the start; at {10 * size:,.0f} it " in section["text"]
    )
    unit, net = section["permutation"]["net_return"], named(section)["1x costs"]["net_return"]
    assert unit != pytest.approx(net, rel=0.01)
    assert f"Positions of one unit on these signals made {100 * unit:.2f} % after costs" in section["text"]
    assert f"the account, with its own sizes and stops, made {100 * net:.2f} %" in section["text"]


def test_more_trials_deflate_more_and_earlier_runs_count() -> None:
    rng = np.random.default_rng(5)
    day = np.arange(200)
    returns = rng.normal(0.0015, 0.01, 200)
    few = Trials(day=day, daily=rng.normal(0.0, 0.01, (200, 2)), names=("a", "b"))
    earlier = [(f"run {k}", day - 100, rng.normal(0.0, 0.01, 200)) for k in range(30)]
    brief = [("brief", np.arange(190, 205), rng.normal(0.0, 0.01, 15))]
    elsewhere = [("elsewhere", day + 1_000, rng.normal(0.0, 0.01, 200))]
    many = Trials(
        day=day, daily=few.daily, names=few.names, earlier=[*earlier, *brief, *elsewhere], aborted=4
    )
    alone, among = deflated(day, returns, few), deflated(day, returns, many)
    assert (alone["trials"], among["trials"]) == (3, 3 + 30 + 5)
    assert (among["earlier"], among["without_returns"]) == (30, 5)
    assert among["by_luck"] > alone["by_luck"]
    assert among["probability"] < alone["probability"] <= alone["probabilistic"]
    assert alone["minimum_track_record"] == among["minimum_track_record"]


def test_a_run_that_tried_several_things_is_one_run() -> None:
    rng = np.random.default_rng(5)
    day, returns = np.arange(200), rng.normal(0.0015, 0.01, 200)
    tried = [
        (name, day, rng.normal(0.0, 0.01, 200)) for name in ("r1/a/edge", "r1/b/edge", "r1/a/seed", "r2")
    ]
    found = deflated(day, returns, Trials(day=day, daily=returns[:, None], names=("main",), earlier=tried))
    assert (found["earlier"], found["earlier_trials"], found["trials"]) == (2, 4, 5)


def test_a_repeated_run_is_no_new_idea() -> None:
    rng = np.random.default_rng(6)
    day, returns = np.arange(100), rng.normal(0.001, 0.01, 100)
    trials = Trials(
        day=day,
        daily=np.column_stack([returns, rng.normal(0.0, 0.01, 100)]),
        names=("main", "other"),
        earlier=[("again", day, returns), ("and again", day, returns)],
    )
    found = deflated(day, returns, trials)
    assert (found["trials"], found["independent"]) == (4, 2)


def test_overfitting_is_not_applicable_to_a_few_variants_or_days() -> None:
    day = np.arange(64)
    noise = np.random.default_rng(1).normal(size=(64, 12))
    names = tuple(str(k) for k in range(12))
    assert overfitting(day, Trials(day=day, daily=noise, names=names))["probability"] is not None
    few = overfitting(day, Trials(day=day, daily=noise[:, :9], names=names[:9]))
    assert few["reason"] == "not applicable: 9 trials, 10 are needed"
    short = overfitting(day[:31], Trials(day=day, daily=noise, names=names))
    assert short["reason"] == "not applicable: 31 days, 32 are needed"


def test_returns_meet_on_the_same_days_in_any_order() -> None:
    day = np.array([7, 5, 6])
    returns = np.array([[0.7, 7.0], [0.5, 5.0], [0.6, 6.0]])
    assert on_days(np.array([4, 5, 7]), day, returns).tolist() == [[0.0, 0.0], [0.5, 5.0], [0.7, 7.0]]
    assert on_days(np.array([1]), np.zeros(0, dtype=np.int64), np.zeros(0)).tolist() == [0.0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"daily": np.zeros((3, 2))}, "daily must be finite"),
        ({"daily": np.full((2, 2), np.nan)}, "daily must be finite"),
        ({"earlier": [("x", np.arange(2), np.zeros(3))]}, "x needs one finite return for each day"),
        ({"aborted": -1}, "aborted must be >= 0"),
    ],
)
def test_trials_that_do_not_fit_are_refused(change: dict[str, Any], told: str) -> None:
    fit: dict[str, Any] = {"day": np.arange(2), "daily": np.zeros((2, 2)), "names": ("a", "b")}
    with pytest.raises(InvalidValue, match=told):
        Trials(**(fit | change))


def test_the_difference_of_two_accounts_is_that_of_their_daily_returns() -> None:
    long = case(market(symbols=1, bars=4_200), share=0.1)
    signals = by_chance(long, 1)["edge"].signals
    a, b = (long.economics.account(signals, limits=True, costs=factor) for factor in (1.0, 3.0))
    found = daily_difference(a, b, seed=1)
    mean = float(np.mean(account_daily(a)[1] - account_daily(b)[1]))
    assert found["difference"] == pytest.approx(mean)
    assert found["annual"] == pytest.approx(365 * mean)
    assert 0.0 < found["low"] < mean < found["high"]
    turned = daily_difference(b, a, seed=1)
    assert (turned["low"], turned["high"]) == pytest.approx((-found["high"], -found["low"]))
    assert daily_difference(a, a, seed=1) | {"days": 0} == {
        "difference": 0.0,
        "annual": 0.0,
        "low": None,
        "high": None,
        "days": 0,
        "reason": "identical returns",
    }
    later = Economics(long.request, long.economics.panel, long.economics.start_ts + DAY_NS)
    with pytest.raises(InvalidValue, match="same days"):
        daily_difference(a, later.account(signals, limits=True), seed=1)


@pytest.mark.parametrize(
    ("days", "horizon", "reason"),
    [
        (29, 1, "fewer than 30 days"),
        (99, 1, "too few independent outcomes"),
        (100, 1, None),
        (100, 2, "too few"),
    ],
)
def test_few_days_have_words_and_no_interval(days: int, horizon: int, reason: str | None) -> None:
    found = difference_of(np.random.default_rng(1).normal(size=days), seed=1, horizon_days=horizon, draws=100)
    assert (found["low"] is None) == (reason is not None)
    assert (found["reason"] or "").startswith(reason or "")
    assert (found["difference"] is None) == (days < 30)


def holed(series: CandleSeries, seed: int) -> CandleSeries:
    keep = np.sort(np.random.default_rng(seed).choice(len(series), len(series) * 9 // 10, replace=False))
    return CandleSeries(
        symbol=series.symbol,
        interval_ns=series.interval_ns,
        ts_open=series.ts_open[keep],
        open=series.open[keep],
        high=series.high[keep],
        low=series.low[keep],
        close=series.close[keep],
        volume=series.volume[keep],
    )


def difficult(kind: str) -> dict[str, CandleSeries]:
    if kind == "weekly":
        return market(symbols=2, bars=300, interval_ns=7 * DAY_NS)
    panel = market(symbols=1 if kind == "one symbol" else 3)
    if kind == "holes":
        return {name: holed(series, k) for k, (name, series) in enumerate(panel.items())}
    if kind == "stranded":
        panel["SIM00"] = panel["SIM00"].slice(0, 1_000)
    return panel


@pytest.mark.parametrize("kind", ["one symbol", "holes", "stranded", "weekly"])
def test_difficult_markets_are_judged_all_the_same(kind: str) -> None:
    hard = case(difficult(kind))
    section = hard.section(by_chance(hard, 1, often=0.5))
    json.dumps(section, allow_nan=False)
    accounts = named(section)
    assert accounts["1x costs"]["trades"] > 0
    assert section["word"] == "does not pay"
    assert 0.0 < section["permutation"]["p_value"] <= 1.0
    assert accounts["1x costs"]["sharpe"] is not None
