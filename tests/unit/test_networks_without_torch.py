"""What works, and what is said, where torch is not installed."""

import subprocess
import sys

import pytest

HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Hidden())
"""


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_neither_the_models_nor_the_command_line_imports_torch() -> None:
    code = (
        "import sys, consilium.models, consilium.app.cli, consilium.training.trainer;"
        "import consilium.models.runtime, consilium.models.pool, consilium.models.layers.published;"
        "consilium.models.model_names(); print('torch' in sys.modules)"
    )
    assert said(code) == "False"


@pytest.mark.parametrize("name", ["nhits", "patchtst", "cnn_lstm", "mpd_transformer", "mpd", "tlob"])
def test_a_network_without_torch_is_one_line_with_the_extra(name: str) -> None:
    code = HIDE + (
        "from consilium.models import make_forecaster\n"
        f"try: make_forecaster({name!r})\n"
        "except Exception as e: print(type(e).__name__, e)"
    )
    expected = f"UsageError model {name.replace('mpd', 'mpd_transformer') if name == 'mpd' else name}"
    assert (
        said(code)
        == f"{expected} needs the package torch; got nothing installed: pip install 'consilium[torch]'"
    )


def test_the_default_pool_learns_without_torch() -> None:
    code = HIDE + (
        "import numpy as np\n"
        "from consilium.models import DEFAULT_POOL, make_forecaster\n"
        "X = np.random.default_rng(0).standard_normal((60, 3))\n"
        "for name in DEFAULT_POOL:\n"
        "    print(make_forecaster(name, rounds=2).fit(X, np.arange(60) % 3).predict_proba(X).shape)"
    )
    assert said(code).splitlines() == ["(60, 3)", "(60, 3)"]
