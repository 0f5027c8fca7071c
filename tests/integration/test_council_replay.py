"""The replay of a council: the same rulings as in the living service, and what a row was worth."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from typer.testing import CliRunner

from consilium.app.backtest.request import BacktestRequest
from consilium.app.bootstrap import SystemClock
from consilium.app.cli.root import app
from consilium.app.council_replay.history import Close, History, history_of
from consilium.app.council_replay.playing import Played, Reviewers, Theatre
from consilium.app.council_replay.report import markdown, write_html
from consilium.app.council_replay.run import replay
from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.live.feeds import PanelFeed
from consilium.app.live.pipeline import Pipeline
from consilium.app.live.terms import Terms
from consilium.app.settings import Settings
from consilium.app.stages import silent
from consilium.domain import Consensus, ConsiliumError, Decision, HealthReported
from consilium.market.simulator import simulate_falls
from consilium.market.simulator.falls import shortest
from consilium.models.runtime import Runtime

FALLS = (0.03, 0.13)
START = {"start_profile": "NORMAL"}


def settings_of(folder: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "data_dir": folder,
        "ensemble": {"gates": "seed"},
        "training": {"horizon": 24, "folds": 2},
        "paper": {"equity": 12_000.0},
        "council": START,
    }
    return Settings(**(given | changes))


class Lived:
    """A pipeline of the service that has lived through falls, and the history of what it said."""

    def __init__(self, settings: Settings) -> None:
        self.panel = simulate_falls(bars=shortest(FALLS) + 200, seed=7, falls=FALLS)
        feed = PanelFeed("replay:history", self.panel, speed=0.0)
        engine = EnsembleEngine(make_live_ensemble(settings), settings=settings, clock=SystemClock())
        terms = Terms(
            feed="replay:history",
            interval_ns=feed.interval_ns,
            symbols=feed.symbols,
            bars_per_day=feed.bars_per_day(),
        )
        pipeline = Pipeline(settings, engine, terms, Runtime(workers=1))
        warm = list(feed.history())
        pipeline.warm_up(warm)
        reviewers, self.decisions = Reviewers(4.0), list[Decision]()
        self.closes: list[Close] = []
        self.navs: list[float] = []
        for step in feed.steps(0, Event()):
            ts = step[0].ts_close
            if not self.closes:
                healthy = HealthReported(
                    source="system", sequence=0, ts_event=ts - 1, system_status="HEALTHY", detail="replayed"
                )
                self._heard(pipeline.council.hear([healthy]))
            said = pipeline.step(ts, step)
            agreed = [m for m in said if isinstance(m, Consensus)]
            self.closes.append(Close(ts=ts, candles=list(step), consensuses=agreed))
            self._heard(said)
            assert pipeline.council.service is not None
            for command in reviewers.due(pipeline.council.service, ts):
                self._heard(pipeline.council.hear([command]))
            self.navs.append(pipeline.accounts.trading.portfolio.nav)
        self.history = History(
            run_id="",
            source="simulated",
            data_digest="",
            panel=self.panel,
            warm=warm,
            closes=self.closes,
            models=(),
            horizon=24,
            interval_ns=feed.interval_ns,
            trained=False,
        )

    def _heard(self, said: list[Any]) -> None:
        self.decisions += [message for message in said if isinstance(message, Decision)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_of(tmp_path_factory.mktemp("replay"))


@pytest.fixture(scope="module")
def lived(settings: Settings) -> Lived:
    return Lived(settings)


@pytest.fixture(scope="module")
def whole(lived: Lived, settings: Settings) -> Played:
    return Theatre(lived.history, settings).play()


def told(decisions: list[Decision]) -> list[tuple[object, ...]]:
    return [(d.ts_event, d.officer, d.kind, d.rule, dict(d.payload), d.reason) for d in decisions]


def test_a_replay_rules_as_the_living_system_did_close_by_close(lived: Lived, whole: Played) -> None:
    assert told(whole.log) == told(lived.decisions)
    assert whole.nav == lived.navs
    assert {"F1", "U1", "R2", "C2"} <= set(whole.fired)
    assert whole.modes[-1] == "LIVE"


def test_with_learned_advice_a_room_that_is_restored_goes_on_as_it_was(
    lived: Lived, settings: Settings
) -> None:
    council = settings.council.model_copy(update={"advice": True})
    asked = settings.model_copy(update={"council": council})
    whole = Theatre(lived.history, asked)
    whole.play()
    assert whole.room.advice() is not None
    other = Theatre(lived.history, asked)
    other.room.restore(json.loads(json.dumps(whole.room.state())))
    assert other.room.state() == whole.room.state()
    assert other.room.advice() == whole.room.advice()


def test_a_row_that_never_fired_is_worth_nothing(lived: Lived, settings: Settings, whole: Played) -> None:
    assert "F4" not in whole.fired
    other = Theatre(lived.history, settings, without=frozenset(["F4"])).play()
    assert (other.nav, other.modes) == (whole.nav, whole.modes)


def test_without_its_freezes_trading_goes_on(lived: Lived, settings: Settings, whole: Played) -> None:
    rows = frozenset(f"F{k}" for k in range(1, 7))
    other = Theatre(lived.history, settings, without=rows).play()
    assert whole.share("FROZEN") > 0.0
    assert other.share("FROZEN") == 0.0
    assert not rows & set(other.fired)


def test_without_reviewers_a_freeze_lasts_to_the_end(lived: Lived, settings: Settings) -> None:
    alone = Theatre(lived.history, settings, review_hours=None).play()
    assert alone.modes[-1] == "FROZEN"
    assert any(name.startswith("supervisor/F") for name in alone.holds_left)


def test_without_a_council_nothing_is_ruled(lived: Lived, settings: Settings) -> None:
    council = settings.council.model_copy(update={"enabled": False})
    free = Theatre(lived.history, settings.model_copy(update={"council": council})).play()
    assert (free.log, set(free.modes), dict(free.fired)) == ([], {"LIVE"}, {})


@pytest.fixture(scope="module")
def request_of(tmp_path_factory: pytest.TempPathFactory) -> BacktestRequest:
    folder = tmp_path_factory.mktemp("trained")
    return BacktestRequest.checked(
        settings=settings_of(folder, training={"horizon": 1, "folds": 2}),
        data="simulate:symbols=2,bars=1500,signal_ic=0.5",
        models=("lightgbm",),
        features="core14",
        gates="edge",
    )


@pytest.fixture(scope="module")
def report(request_of: BacktestRequest) -> dict[str, Any]:
    return replay(request_of, without=["R1", "F1"])


def test_a_report_has_what_was_asked_for(report: Mapping[str, Any], tmp_path: Path) -> None:
    assert set(report["worth"]) == {"council", "R1", "F1"}
    assert report["worth"]["F1"]["word"] == "changed nothing"
    assert {"decisions_an_hour", "conflicts_share", "overrides_share", "freezes_a_week"} <= set(
        report["figures"]
    )
    assert report["advice"]["rows"] > 0
    assert any("one sample" in note.lower() or "One history" in note for note in report["notes"])
    text = markdown(report)
    assert "| without R1 |" in text
    write_html(report, tmp_path / "r.html")
    assert "default-src 'none'" in (tmp_path / "r.html").read_text()


def test_stored_forecasts_are_read_and_not_trained_again(
    report: Mapping[str, Any], request_of: BacktestRequest
) -> None:
    assert report["data"]["trained"]
    again = history_of(request_of, None, silent)
    assert (again.run_id, again.trained) == (report["data"]["run"], False)
    assert again.models == ("lightgbm",)
    named = history_of(request_of, "last", silent)
    assert named.run_id == again.run_id


def test_a_run_of_other_data_is_refused(report: Mapping[str, Any], request_of: BacktestRequest) -> None:
    other = replace(request_of, data="simulate:symbols=2,bars=1500,signal_ic=0.5,seed=9")
    with pytest.raises(ConsiliumError, match="must be those of run"):
        history_of(other, report["data"]["run"], silent)


def test_a_run_that_is_not_there_is_refused(request_of: BacktestRequest, tmp_path: Path) -> None:
    nowhere = replace(request_of, settings=settings_of(tmp_path))
    with pytest.raises(ConsiliumError, match="a run must be there"):
        history_of(nowhere, "last", silent)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--without", "R9"), "rule must be one of"),
        (("--run", "last", "--signals", "s.csv"), "exclude each other"),
    ],
)
def test_the_command_refuses_what_cannot_be_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["council", "replay", "--data", "simulate:bars=600", *arguments])
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    assert said in line
