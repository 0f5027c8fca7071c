"""Making forecasters by name."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from consilium.domain import ArtefactRefused, UnknownName, UsageError
from consilium.models import (
    BASELINES,
    DEFAULT_POOL,
    FORECASTERS,
    LIBRARIES,
    load_forecaster,
    make_forecaster,
    model_names,
    require_libraries,
)


def test_listing_the_models_imports_no_learner() -> None:
    code = (
        "import sys, consilium.models as m; m.model_names();"
        "learners = {'xgboost', 'lightgbm', 'sklearn', 'scipy', 'torch', 'safetensors'};"
        "print(sorted(learners & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_makes_a_model_of_that_name() -> None:
    names = model_names()
    assert set(FORECASTERS) | set(BASELINES) | {"fallback"} <= set(names)
    networks = {name for name in names if name not in DEFAULT_POOL and name in FORECASTERS}
    if find_spec("torch") is None:
        for name in networks:
            with pytest.raises(UsageError, match=r"needs the package torch; .* 'consilium\[torch\]'$"):
                make_forecaster(name)
        names = tuple(name for name in names if name not in networks)
    assert [make_forecaster(name).name for name in names] == list(names)


def test_the_short_names_are_accepted() -> None:
    assert make_forecaster("xgb").name == "xgboost"
    assert make_forecaster("lgbm").name == "lightgbm"


def test_a_misspelt_model_gets_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="did you mean 'minirocket'"):
        make_forecaster("minirockt")


def test_a_misspelt_parameter_gets_a_suggestion() -> None:
    with pytest.raises(UnknownName, match=r"parameter of xgb must be one of .* did you mean 'max_depth'"):
        make_forecaster("xgb", max_dept=3)


def test_shared_settings_go_only_to_models_that_take_them() -> None:
    shared: dict[str, Any] = {"feature_names": ("return_1",), "seed": 5, "n_threads": 2}
    assert make_forecaster("prior", **shared).get_params() == {}
    assert make_forecaster("persistence", **shared).get_params() == {"feature_names": ("return_1",)}
    assert make_forecaster("xgboost", **shared).get_params()["seed"] == 5
    assert make_forecaster("xgboost", **shared).get_params()["n_threads"] == 2


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactRefused, match=r"must hold forecaster\.json"):
        load_forecaster(tmp_path)


def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "forecaster.json"
    for text, clue in (("[1]", "format 1"), ("\x00\x01", "JSON"), ('{"format": 99}', "99")):
        path.write_text(text)
        with pytest.raises(ArtefactRefused, match=clue):
            load_forecaster(tmp_path)


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_model_that_can_be_made_has_the_libraries_that_it_is_said_to_need(name: str) -> None:
    missing = [package for package in LIBRARIES.get(name, ()) if find_spec(package) is None]
    if not missing:
        require_libraries(name)
        assert make_forecaster(name).name == name
        return
    with pytest.raises(UsageError, match=rf"training {name} needs the package {missing[0]}; .*pip install"):
        require_libraries(name)


def test_the_libraries_of_a_training_are_looked_for_and_not_imported() -> None:
    code = (
        "import sys, consilium.models as m; from consilium.domain import UsageError\n"
        "for name in m.FORECASTERS:\n"
        "    try: m.require_libraries(name)\n"
        "    except UsageError: pass\n"
        "print(sorted({'xgboost', 'lightgbm', 'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
