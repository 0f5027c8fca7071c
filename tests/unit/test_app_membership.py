"""Which models a run trains: all seven where `all` is said, and none that its data cannot feed."""

import pytest

from consilium.app.cli.request import request_of
from consilium.app.membership import fed, reads_books
from consilium.domain import DataProblem, UsageError
from consilium.models import DEFAULT_POOL, FORECASTERS, make_forecaster


def test_all_names_every_model_and_nothing_names_the_default_pool() -> None:
    assert request_of("sample", models="all").models == tuple(FORECASTERS)
    assert request_of("sample").models == DEFAULT_POOL


def test_models_that_cannot_be_fed_leave_the_others() -> None:
    assert fed(("xgboost", "tlob"), {"tlob": "no books"}) == ("xgboost",)
    with pytest.raises(DataProblem, match="at least 1 model that its data can feed; got tlob: no books"):
        fed(("tlob",), {"tlob": "no books"})


@pytest.mark.parametrize("name", FORECASTERS)
def test_models_that_are_said_to_read_books_are_those_that_do(name: str) -> None:
    try:
        made = make_forecaster(name)
    except UsageError:
        pytest.skip("its library is not installed")
    assert reads_books(name) == (int(getattr(made, "book_levels", 0)) > 0)
