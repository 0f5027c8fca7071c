"""Development, lock-box and symbols that no model sees."""

from dataclasses import replace

import numpy as np
import pytest

from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.controls import shift_labels
from consilium.app.judge.examination import examine
from consilium.app.judge.forecasting import develop, folds_of, open_lockbox
from consilium.app.judge.split import Split, unseen_symbols
from consilium.app.settings import Settings, Training
from consilium.domain import DataProblem, InvalidValue
from consilium.market.simulator import simulate
from consilium.models import FORECASTERS
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelSpec
from failing_model import Tired

REQUEST = BacktestRequest(
    settings=Settings(training=Training(seed=3)), models=("logistic",), baselines=(), horizon=2, gates="seed"
)


def simulated(symbols: int, bars: int, *, seed: int = 5, horizon: int = 2) -> Dataset:
    panel = simulate(symbols=symbols, bars=bars, signal_ic=0.2, seed=seed).series
    return build_dataset(panel, "core14", LabelSpec(horizon=horizon))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return simulated(11, 700)


def test_every_fifth_symbol_by_name_is_kept_from_the_models() -> None:
    names = ["J", "A", "C", "B", "E", "D", "F", "H", "G", "I"]
    assert unseen_symbols(names) == ("E", "J")
    assert unseen_symbols(names[:9]) == ()


def test_the_cut_is_at_sixty_percent_of_the_times_and_unseen_symbols_come_last(dataset: Dataset) -> None:
    split = Split.of(dataset)
    times = np.unique(dataset.ts_event)
    assert np.mean(times < split.ts_lockbox) == pytest.approx(0.6, abs=2 / len(times))
    lockbox = times[times >= split.ts_lockbox]
    assert np.mean(lockbox >= split.ts_unseen) == pytest.approx(1 / 3, abs=2 / len(lockbox))
    assert len(split.unseen) == 2
    strangers = [split.dataset.symbols[i] in split.unseen for i in split.dataset.symbol_index]
    assert np.array_equal(strangers, ~split.seen)
    assert split.dataset.ts_event[~split.seen].min() == split.ts_unseen


def test_development_hides_outcomes_that_only_the_lockbox_knows(dataset: Dataset) -> None:
    split = Split.of(dataset)
    part = split.development()
    assert part.ts_event.max() < split.ts_lockbox
    assert part.ts_matured[part.labelled].max() < split.ts_lockbox
    hidden = ~part.labelled & (split.dataset.y[: len(part)] >= 0)
    assert hidden.sum() >= 2 * (len(dataset.symbols) - len(split.unseen))
    assert np.all(np.isnan(part.realised_return[hidden]))


def test_development_does_not_change_with_the_lockbox(dataset: Dataset) -> None:
    split = Split.of(dataset)
    later = split.dataset.ts_event >= split.ts_lockbox
    other = replace(split.dataset, y=np.where(later & split.dataset.labelled, 0, split.dataset.y))
    changed = replace(split, dataset=other)
    first, second = (develop(REQUEST, part.development()) for part in (split, changed))
    assert first.figures == second.figures
    assert np.array_equal(
        first.forecasts.probabilities["logistic"], second.forecasts.probabilities["logistic"]
    )


def test_outcomes_of_unseen_symbols_teach_no_model(dataset: Dataset) -> None:
    split = Split.of(dataset)
    strange = ~split.seen & split.dataset.labelled
    altered = replace(
        split.dataset,
        y=np.where(strange, 2 - split.dataset.y, split.dataset.y),
        realised_return=np.where(strange, -9.0, split.dataset.realised_return),
    )
    first = open_lockbox(REQUEST, split)
    second = open_lockbox(REQUEST, replace(split, dataset=altered))
    assert np.array_equal(first.probabilities["logistic"], second.probabilities["logistic"])
    assert np.array_equal(first.climatology, second.climatology)
    forecast = set(split.dataset.symbol_index[first.rows].tolist())
    assert {split.dataset.symbols.index(name) for name in split.unseen} <= forecast


def test_the_lockbox_is_opened_after_development_has_chosen(dataset: Dataset) -> None:
    told: list[str] = []
    found = examine(
        REQUEST,
        dataset,
        ("seed",),
        before_opening=lambda _, developed: told.append(developed.best_single),
    )
    assert told == ["logistic"] == [found.developed.best_single]
    assert len(found.developed.forecasts.folds) == folds_of(REQUEST) == 5
    assert np.all(found.dataset.ts_event[found.lockbox.rows] >= found.split.ts_lockbox)
    assert len(found.pooled["seed"].direction) == len(found.lockbox.rows)
    assert len(found.whole.rows) - found.first_place == len(found.lockbox.rows)
    assert np.array_equal(found.whole.rows[found.first_place :], found.lockbox.rows)
    assert found.primary.unseen is not None
    assert found.primary.unseen["symbols"] == list(found.split.unseen)


def test_a_run_that_stops_in_development_has_not_opened_the_lockbox() -> None:
    opened: list[object] = []
    short = simulated(2, 500)
    with pytest.raises(InvalidValue, match="longer history"):
        examine(
            REQUEST,
            short.where(short.ts_event < np.unique(short.ts_event)[60]),
            ("seed",),
            before_opening=lambda *found: opened.append(found),
        )
    assert not opened


def test_too_few_times_for_two_parts_are_refused() -> None:
    dataset = simulated(1, 500)
    with pytest.raises(DataProblem, match="development part and a lock-box"):
        Split.of(dataset.where(dataset.ts_event == dataset.ts_event[0]))


def test_joined_forecasts_are_the_two_parts_one_after_the_other(dataset: Dataset) -> None:
    split = Split.of(dataset)
    first = develop(REQUEST, split.development()).forecasts
    second = open_lockbox(REQUEST, split)
    whole = first.followed_by(second)
    assert [fold.index for fold in whole.folds] == list(range(9))
    assert whole.folds[5].start == len(first.rows) == whole.folds[4].stop
    again = whole.since_fold(5)
    assert np.array_equal(again.rows, second.rows)
    assert again.folds == second.folds
    with pytest.raises(InvalidValue, match="follow one another"):
        second.followed_by(first)


def test_a_long_history_of_an_unseen_symbol_does_not_move_the_border() -> None:
    panel = dict(simulate(symbols=10, bars=900, seed=5).series)
    long = sorted(panel)[4]
    panel = {name: s if name == long else s.slice(500, 900) for name, s in panel.items()}
    split = Split.of(build_dataset(panel, "core14", LabelSpec(horizon=2)))
    assert split.unseen[0] == long
    learned = np.unique(split.dataset.ts_event[split.seen])
    assert np.mean(learned < split.ts_lockbox) == pytest.approx(0.6, abs=0.01)


def test_a_model_that_fails_inside_the_lockbox_emits_climatology_there(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(REQUEST, models=("logistic", "tired"))
    monkeypatch.setitem(FORECASTERS, "tired", "failing_model:Tired")
    split = Split.of(dataset)
    developed = develop(request, split.development())
    assert not developed.forecasts.failures
    monkeypatch.setattr(Tired, "most_rows", max(fold.fit_rows for fold in developed.forecasts.folds))
    opened = open_lockbox(request, split)
    whole = developed.forecasts.followed_by(opened)
    assert {failure.fold for failure in opened.failures} == {0, 1, 2, 3}
    assert set(whole.probabilities) == {"logistic", "tired"}
    assert np.array_equal(opened.probabilities["tired"], opened.climatology)
    assert not opened.skilled["tired"].any()
    monkeypatch.setattr(Tired, "most_rows", 10**9)
    found = examine(replace(request, models=("tired",)), dataset, ("seed",))
    assert found.developed.best_single == "tired"


def test_shifted_labels_are_those_of_the_day_after() -> None:
    dataset = simulated(2, 2_000, horizon=1)
    moved = shift_labels(dataset, 24.0)
    mine = np.flatnonzero((dataset.symbol_index == 1) & dataset.labelled)
    assert np.array_equal(moved.y[mine[:600]], dataset.y[mine[24:624]])
    assert np.array_equal(np.bincount(moved.y[mine]), np.bincount(dataset.y[mine]))
    assert np.array_equal(moved.y[mine[696:720]], dataset.y[mine[:24]])
    assert np.array_equal(moved.ts_matured, dataset.ts_matured)
