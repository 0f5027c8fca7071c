"""Walk-forward in several processes."""

from functools import partial

import numpy as np

from consilium.models import make_forecaster
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.walkforward import walk_forward
from training_panels import momentum_panel


def test_two_processes_give_the_bits_of_one() -> None:
    dataset = build_dataset(momentum_panel(2, 1_200, persistence=0.3), "core14", LabelSpec())
    models = {
        "lightgbm": partial(make_forecaster, "lightgbm", rounds=10),
        "logistic": partial(make_forecaster, "logistic"),
        "persistence": partial(make_forecaster, "persistence"),
    }
    steps: list[int] = []
    one = walk_forward(dataset, models, folds=2, seed=3)
    two = walk_forward(
        dataset, models, folds=2, seed=3, jobs=2, progress=lambda done, _total, _text: steps.append(done)
    )
    for model in models:
        assert one.probabilities[model].tobytes() == two.probabilities[model].tobytes()
        assert np.array_equal(one.skilled[model], two.skilled[model])
    assert one.folds == two.folds
    assert steps == [1, 2, 3, 4, 5, 6]
