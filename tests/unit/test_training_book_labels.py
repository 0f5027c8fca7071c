"""Labels of books: the smoothed mid, a threshold of the training part alone, and no session crossed."""

import numpy as np
import pytest

from consilium.domain import InvalidValue, UnknownName
from consilium.market.book.series import BookSeries
from consilium.market.simulator import simulate_book
from consilium.training.book_labels import (
    HORIZONS,
    BookLabelSpec,
    make_book_labels,
    smoothed_change,
    tercile_alpha,
)
from consilium.training.labels import NEVER


def _book(mids: list[float], *, spread: float = 1.0, session: list[int] | None = None) -> BookSeries:
    mid = np.array(mids, dtype=np.float64)[:, None]
    size = np.ones_like(mid)
    return BookSeries(
        symbol="BTCUSDT",
        ts_event=np.arange(len(mids)) * 10,
        bid_price=mid - spread / 2,
        bid_size=size,
        ask_price=mid + spread / 2,
        ask_size=size,
        session=np.zeros(len(mids), np.int32) if session is None else np.array(session, np.int32),
    )


def test_the_mean_of_the_next_mids_is_set_against_the_mean_of_the_last() -> None:
    change, matured = smoothed_change(_book([100.0, 102.0, 103.0, 107.0]), 2)
    np.testing.assert_allclose(change[1], (105.0 - 101.0) / 101.0)
    assert np.isnan(change[[0, 2, 3]]).all()
    assert matured.tolist() == [NEVER, 30, NEVER, NEVER]


def test_the_mean_of_the_next_mids_is_set_against_the_mid_where_asked() -> None:
    change, matured = smoothed_change(_book([100.0, 102.0, 103.0, 107.0]), 2, "mid")
    np.testing.assert_allclose(change[:2], [2.5 / 100.0, 3.0 / 102.0])
    assert np.isnan(change[2:]).all()
    assert matured.tolist() == [20, 30, NEVER, NEVER]


def test_a_mid_that_stands_still_does_not_change_to_the_last_bit() -> None:
    for mid in (0.1, 61_837.635, 1e-7):
        change, _ = smoothed_change(_book([mid] * 200, spread=mid / 100), 50)
        assert (change[49:150] == 0.0).all()


def test_moves_that_cancel_in_ticks_are_no_change() -> None:
    half_ticks = 2 * 268_380 + np.random.default_rng(0).integers(-3, 4, 2_000)
    change, _ = smoothed_change(_book((half_ticks * 0.005).tolist(), spread=0.01), 2)
    ticks = half_ticks[2:-1] + half_ticks[3:] - half_ticks[:-3] - half_ticks[1:-2]
    assert (ticks == 0).sum() > 100
    np.testing.assert_array_equal(change[1:-2] == 0.0, ticks == 0)


@pytest.mark.promise("004", "prediction horizons of 10, 30 and 50 snapshots")
@pytest.mark.parametrize("past", ["mean", "mid"])
@pytest.mark.parametrize("horizon", HORIZONS)
def test_labels_agree_with_a_plain_loop_and_cross_no_session(horizon: int, past: str) -> None:
    whole = simulate_book(snapshots=400, seed=horizon).book
    session = np.repeat([0, 1, 4], [130, 150, 120]).astype(np.int32)
    book = BookSeries(
        symbol="SIM00",
        ts_event=whole.ts_event,
        bid_price=whole.bid_price,
        bid_size=whole.bid_size,
        ask_price=whole.ask_price,
        ask_size=whole.ask_size,
        session=session,
    )
    change, matured = smoothed_change(book, horizon, past)
    mid = book.mid
    for t in range(len(book)):
        first = t - horizon + 1 if past == "mean" else t
        inside = first >= 0 and t + horizon < len(book) and session[first] == session[t + horizon]
        assert np.isfinite(change[t]) == inside
        assert (matured[t] != NEVER) == inside
        if inside:
            before = mid[first : t + 1].mean()
            wanted = (mid[t + 1 : t + horizon + 1].mean() - before) / before
            assert change[t] == pytest.approx(wanted, abs=2e-13)
            assert matured[t] == book.ts_event[t + horizon]


def test_a_book_without_a_side_has_no_label_and_spoils_none_out_of_reach() -> None:
    mids = [100.0 + i for i in range(20)]
    mids[10] = np.nan
    change, matured = smoothed_change(_book(mids), 2)
    unknown = np.flatnonzero(np.isnan(change)).tolist()
    assert unknown == [0, 8, 9, 10, 11, 18, 19]
    assert (matured[unknown] == NEVER).all()


def test_a_third_of_the_training_part_is_flat_where_the_mid_moves() -> None:
    book = _book((1000 + np.cumsum(np.random.default_rng(1).standard_normal(3_000))).tolist())
    spec = BookLabelSpec(horizon=10)
    until = int(book.ts_event[1_999])
    labels = make_book_labels(book, spec, alpha=tercile_alpha(book, spec, until))
    shares = [np.mean(labels.direction[9:1_989] == c) for c in (0, 1, 2)]
    assert shares[1] == pytest.approx(1 / 3, abs=1e-3)
    assert min(shares) > 0.25


def test_the_threshold_is_the_same_whatever_comes_after_the_training_part() -> None:
    book = simulate_book(snapshots=3_000, seed=2).book
    spec = BookLabelSpec(horizon=30)
    until = int(book.ts_event[1_500])
    wild = book.mid.copy()
    wild[1_501:] *= 1.5
    assert tercile_alpha(_book(wild.tolist(), spread=0.01), spec, 15_000) == tercile_alpha(
        _book(book.mid.tolist(), spread=0.01), spec, 15_000
    )
    assert tercile_alpha(book, spec, until) == tercile_alpha(book.slice(0, 1_501), spec, until)


def test_where_most_mids_stand_still_flat_is_exactly_those() -> None:
    mids = [100.0] * 300 + [101.0] * 100
    book, spec = _book(mids), BookLabelSpec(horizon=10)
    alpha = tercile_alpha(book, spec, 10**9)
    labels = make_book_labels(book, spec, alpha=alpha)
    assert alpha == 0.0
    np.testing.assert_array_equal(np.flatnonzero(labels.direction == 2), np.arange(290, 309))
    assert (labels.direction == 0).sum() == 0


def test_a_tie_is_flat() -> None:
    book = _book([100.0, 100.0, 101.0, 101.0])
    change, _ = smoothed_change(book, 1)
    labels = make_book_labels(book, BookLabelSpec(horizon=1), alpha=float(change[1]))
    assert labels.direction.tolist() == [1, 1, 1, -1]
    below = make_book_labels(book, BookLabelSpec(horizon=1), alpha=float(change[1]) * 0.999)
    assert below.direction.tolist() == [1, 2, 1, -1]


def test_with_the_spread_as_threshold_a_move_must_exceed_half_of_it() -> None:
    spec = BookLabelSpec(horizon=1, past="mid", threshold="spread")
    book = _book([100.0, 100.5, 101.2, 100.5], spread=1.0)
    labels = make_book_labels(book, spec)
    assert labels.direction.tolist() == [1, 2, 0, -1]
    np.testing.assert_allclose(labels.threshold[:3], 0.5 / book.mid[:3])
    np.testing.assert_allclose(labels.realised_return[:3], np.log(book.mid[1:] / book.mid[:-1]))


def test_the_id_names_the_definition_and_nothing_that_is_not_used() -> None:
    ids = {
        spec.label_id(interval)
        for interval in (10**8, 10**9)
        for spec in (
            *(BookLabelSpec(horizon=k) for k in HORIZONS),
            BookLabelSpec(past="mid"),
            BookLabelSpec(threshold="spread"),
            BookLabelSpec(threshold="spread", spread_factor=1.0),
        )
    }
    assert len(ids) == 12
    assert BookLabelSpec(spread_factor=2.0).label_id(1) == BookLabelSpec().label_id(1)


def test_what_cannot_be_is_refused() -> None:
    book = simulate_book(snapshots=100, seed=1).book
    with pytest.raises(InvalidValue, match="horizon"):
        BookLabelSpec(horizon=0)
    with pytest.raises(UnknownName, match="mean"):
        BookLabelSpec(past="means")
    with pytest.raises(UnknownName, match="terciles"):
        BookLabelSpec(threshold="tercile")
    with pytest.raises(InvalidValue, match="alpha"):
        make_book_labels(book, BookLabelSpec())
    with pytest.raises(InvalidValue, match="alpha"):
        make_book_labels(book, BookLabelSpec(threshold="spread"), alpha=0.1)
    with pytest.raises(InvalidValue, match="30"):
        tercile_alpha(book, BookLabelSpec(), int(book.ts_event[40]))
