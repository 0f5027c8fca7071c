"""Laws of every trained forecaster on small and ugly data."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.domain import UsageError
from consilium.models import BASELINES, FORECASTERS, make_forecaster
from network_cases import SMALL_NETWORKS

SMALL: dict[str, dict[str, Any]] = {
    "xgboost": {"rounds": 4},
    "lightgbm": {"rounds": 4},
    "minirocket": {"window": 9, "num_features": 84},
    **{name: {**small, "epochs": 1} for name, small in SMALL_NETWORKS.items()},
}
SCALES = st.sampled_from([0.0, 1e-30, 1e-6, 1.0, 1e6, 1e29])


@pytest.mark.parametrize("name", [*FORECASTERS, *BASELINES])
@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    labels=st.lists(st.integers(0, 2), min_size=1, max_size=40),
    learnt=SCALES,
    asked=SCALES,
    weighted=st.booleans(),
)
def test_whatever_it_learns_from_its_rows_are_distributions(
    name: str, seed: int, labels: list[int], learnt: float, asked: float, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    try:
        model = make_forecaster(
            name, feature_names=("return_1", "x", "y", "z"), seed=seed, **SMALL.get(name, {})
        )
    except UsageError as missing:
        if "consilium[torch]" not in str(missing):
            raise
        pytest.skip(str(missing))
    labels = labels * -(-type(model).min_fit_rows // len(labels))  # type: ignore[attr-defined]
    shape = (4,) if model.window == 1 else (model.window, 4)
    X = learnt * rng.uniform(-1.0, 1.0, (len(labels), *shape))
    weights = rng.uniform(1e-3, 10.0, len(labels)) if weighted else None
    model.fit(X, np.array(labels), sample_weight=weights)
    p = model.predict_proba(asked * rng.uniform(-1.0, 1.0, (7, *shape)))
    assert p.shape == (7, 3)
    assert np.isfinite(p).all()
    assert (p > 0.0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)
    assert set(model.predict(X).tolist()) <= {0, 1, 2}
