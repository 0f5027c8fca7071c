"""scikit-learn's own examination of the tabular forecasters."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from consilium.models import make_forecaster

TABULAR = (
    make_forecaster("xgboost", rounds=20),
    make_forecaster("lightgbm", rounds=20),
    make_forecaster("prior"),
    make_forecaster("logistic"),
)

# The port fixes the classes to 0, 1, 2 and the columns to three, whatever the training data held.
EXPECTED_FAILURES = {
    "check_classifiers_classes": "labels are directions 0, 1, 2, never words",
    "check_classifiers_train": "two classes in training still give three columns",
    "check_dtype_object": "the check draws a fourth class",
    "check_supervised_y_2d": "y has one dimension; a column of labels is refused, not flattened",
}


def expected_failures(estimator: Any) -> dict[str, str]:
    return EXPECTED_FAILURES


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(list(TABULAR), expected_failed_checks=expected_failures, xfail_strict=True)  # type: ignore[untyped-decorator]
def test_scikit_learn_accepts_it(estimator: Any, check: Any) -> None:
    check(estimator)
