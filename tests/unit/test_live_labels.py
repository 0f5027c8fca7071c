"""Outcomes that mature bar by bar are the labels of training."""

import numpy as np
import pytest

from consilium.domain import ArtefactRefused
from consilium.market.simulator import simulate
from consilium.training.label_stream import LabelStream
from consilium.training.labels import LabelSpec, make_labels

SPECS = (LabelSpec(), LabelSpec(horizon=4), LabelSpec(horizon=3, floor=0.01), LabelSpec(span=20, k=0.0))


@pytest.mark.promise("004", "outcomes in service are those of the label in training")
@pytest.mark.parametrize("spec", SPECS)
def test_outcomes_are_the_labels_of_training_to_the_bit(spec: LabelSpec) -> None:
    (series,) = simulate(symbols=1, bars=900, seed=3).series.values()
    labels = make_labels(series, spec)
    stream = LabelStream(series.symbol, spec, series.interval_ns)
    found = {o.ts_event: o for t in range(len(series)) if (o := stream.update(series.candle(t))) is not None}
    known = np.flatnonzero(labels.direction >= 0)
    assert [int(series.ts_close[t]) for t in known] == list(found)
    for t in known:
        outcome = found[int(series.ts_close[t])]
        assert outcome.direction == labels.direction[t]
        assert outcome.realised_return == labels.realised_return[t]
        assert outcome.ts_matured == labels.ts_matured[t]
        assert (outcome.label_id, outcome.horizon_ns) == (
            spec.label_id(series.interval_ns), spec.horizon * series.interval_ns,
        )  # fmt: skip


@pytest.mark.parametrize("cut", [0, 1, 5, 96, 97, 400])
def test_a_restored_stream_goes_on_with_the_same_outcomes(cut: int) -> None:
    (series,) = simulate(symbols=1, bars=500, seed=4).series.values()
    spec = LabelSpec(horizon=2)
    one, other = (LabelStream(series.symbol, spec, series.interval_ns) for _ in range(2))
    for t in range(cut):
        one.update(series.candle(t))
    other.restore(one.state())
    assert [one.update(series.candle(t)) for t in range(cut, 500)] == [
        other.update(series.candle(t)) for t in range(cut, 500)
    ]


def test_a_state_of_another_label_is_refused() -> None:
    one = LabelStream("AAA", LabelSpec(), 60)
    with pytest.raises(ArtefactRefused, match="feed the history again"):
        LabelStream("AAA", LabelSpec(horizon=2), 60).restore(one.state())
