"""The label of books on rows of bars: the mid after the close, a threshold that knows nothing of tests."""

import numpy as np
import pytest

from consilium.domain import DataProblem, InvalidValue
from consilium.domain.time import SECOND_NS
from consilium.market.book.rows import BookRows
from consilium.market.simulator import simulate_book
from consilium.training.dataset import build_dataset
from consilium.training.definitions import spec_from_dict
from consilium.training.labels import NEVER, LabelSpec
from consilium.training.snapshot_labels import SnapshotLabelSpec

MARKET = simulate_book(snapshots=4_001, seed=9, strength=1.0)
BARS, ROWS = MARKET.candles(), BookRows.of(MARKET.book)


def test_a_bar_is_labelled_by_the_mids_that_follow_its_close() -> None:
    spec = SnapshotLabelSpec(horizon=10, alpha=5e-5)
    labels = spec.of_books(BARS, ROWS)
    mid, ts = MARKET.book.mid, MARKET.book.ts_event
    for bar in (3, 200, len(BARS) - 3):
        now = int(np.searchsorted(ts, BARS.ts_close[bar], side="right")) - 1
        change = mid[now + 1 : now + 11].mean() / mid[now] - 1.0
        assert labels.direction[bar] == 1 + (change > 5e-5) - (change < -5e-5)
        assert labels.ts_matured[bar] == ts[now + 10]
        assert labels.realised_return[bar] == pytest.approx(np.log(mid[now + 10] / mid[now]))


def test_a_bar_without_a_book_has_no_label() -> None:
    late = BookRows.of(MARKET.book.slice(2_000, 4_001))
    labels = SnapshotLabelSpec(alpha=1e-5).of_books(BARS, late)
    assert (labels.direction[:190] == -1).all()
    assert (labels.ts_matured[:190] == NEVER).all()
    assert not np.isfinite(labels.threshold[:190]).any()
    assert (SnapshotLabelSpec().of_books(BARS, None).direction == -1).all()
    with pytest.raises(DataProblem, match="a label of books needs books"):
        SnapshotLabelSpec().label(BARS)


def test_the_threshold_is_learned_before_the_first_test_and_makes_a_third_flat() -> None:
    panel = {"SIM00": BARS}
    spec = SnapshotLabelSpec.learned(10, panel, {"SIM00": ROWS}, 0.5)
    early = BookRows.of(MARKET.book.slice(0, 2_200))
    short = BARS.slice(0, 210)
    whole = len(BARS)
    assert spec.snapshot_ns == SECOND_NS // 10
    span = (BARS.ts_close[-1] - BARS.ts_close[0]) * 0.5 / (short.ts_close[-1] - short.ts_close[0])
    same = SnapshotLabelSpec.learned(10, {"SIM00": short}, {"SIM00": early}, float(span))
    assert same == spec
    labels = spec.of_books(BARS, ROWS).direction[: whole // 2]
    assert 0.2 < (labels == 1).mean() < 0.5
    with pytest.raises(DataProblem, match="a threshold needs >= 30 bars with books"):
        SnapshotLabelSpec.learned(10, {"SIM00": BARS.slice(0, 25)}, {"SIM00": ROWS}, 1.0)


def test_its_id_and_horizon_are_those_of_snapshots_and_not_of_bars() -> None:
    spec = SnapshotLabelSpec(horizon=30, alpha=1e-5)
    ids = {spec.label_id(SECOND_NS), SnapshotLabelSpec(horizon=30, alpha=2e-5).label_id(SECOND_NS // 10)}
    assert len(ids) == 1
    assert ids != {SnapshotLabelSpec(horizon=10).label_id(SECOND_NS)}
    assert LabelSpec(horizon=3).label_id(SECOND_NS) not in ids
    assert spec.span_ns(SECOND_NS) == 3 * SECOND_NS
    assert spec_from_dict(spec.as_dict()) == spec
    dataset = build_dataset({"SIM00": BARS}, ("return_1",), spec, None, {"SIM00": ROWS})
    assert dataset.horizon_ns == 3 * SECOND_NS
    assert dataset.label_id in ids


def test_numbers_outside_their_bounds_are_refused() -> None:
    with pytest.raises(InvalidValue, match="horizon must be >= 1 snapshot"):
        SnapshotLabelSpec(horizon=0)
    with pytest.raises(InvalidValue, match="snapshot_ns"):
        SnapshotLabelSpec(snapshot_ns=0)
