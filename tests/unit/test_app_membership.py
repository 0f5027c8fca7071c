"""Which models a run trains: all seven where `all` is said, and none that its data cannot feed."""

import pytest

from consilium.app.cli.request import request_of
from consilium.app.membership import fed
from consilium.domain import DataProblem
from consilium.models import DEFAULT_POOL, FORECASTERS


def test_all_names_every_model_and_nothing_names_the_default_pool() -> None:
    assert request_of("sample", models="all").models == tuple(FORECASTERS)
    assert request_of("sample").models == DEFAULT_POOL


def test_models_that_cannot_be_fed_leave_the_others() -> None:
    assert fed(("xgboost", "tlob"), {"tlob": "no books"}) == ("xgboost",)
    with pytest.raises(DataProblem, match="at least 1 model that its data can feed; got tlob: no books"):
        fed(("tlob",), {"tlob": "no books"})
