"""Several tests at once: Holm, Hansen's test, the confidence set, ablation."""

import subprocess
import sys
import time
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from consilium.domain import InvalidValue, UnknownName, UsageError
from consilium.training.judge import ablation, confidence_set, holm, superior_ability

HOURS = np.arange(500)


def losses(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(0.2, 0.5, size=500)


def noise(seed: int, scale: float = 0.03) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(scale=scale, size=500)


def test_holm_is_that_of_statsmodels() -> None:
    peers: Any = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for count in (1, 2, 5, 12):
        p = rng.uniform(size=count).round(2)
        ours = holm({str(k): float(value) for k, value in enumerate(p)})
        assert list(ours.values()) == pytest.approx(peers.multipletests(p, method="holm")[1].tolist())


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    # An hypothesis is rejected if Bonferroni rejects every set of hypotheses that contains it.
    p = {"a": 0.011, "b": 0.02, "c": 0.04, "d": 0.3}
    adjusted = holm(p)
    for name in p:
        sets = [s for size in range(1, 5) for s in combinations(p, size) if name in s]
        closed = max(min(1.0, len(s) * min(p[member] for member in s)) for s in sets)
        assert adjusted[name] == pytest.approx(closed)


def test_holm_refuses_what_is_no_probability() -> None:
    assert holm({}) == {}
    with pytest.raises(InvalidValue, match=r"p-value of ic must lie in \[0, 1\]; got nan"):
        holm({"ic": float("nan")})


def test_a_better_variant_is_found_among_many() -> None:
    pytest.importorskip("arch")
    base = losses()
    variants = {f"v{k}": base + noise(k + 1) for k in range(20)} | {"good": base - 0.02 + noise(99)}
    found = superior_ability(base, variants, HOURS, 1, seed=0, draws=300)
    assert found.best == "good"
    assert found.p_value is not None
    assert found.p_value < 0.01
    assert found.variants == 21
    assert found.best_difference == pytest.approx(-0.02, abs=0.005)


def test_the_best_of_many_equal_ones_is_not_called_better() -> None:
    pytest.importorskip("arch")
    rejected = 0
    for world in range(40):
        base = losses(world)
        variants = {f"v{k}": base + noise(1_000 * world + k + 1) for k in range(10)}
        found = superior_ability(base, variants, HOURS, 1, seed=world, draws=200)
        assert found.p_value is not None
        assert found.p_lower is not None
        assert found.p_upper is not None
        assert found.p_lower <= found.p_value <= found.p_upper
        rejected += found.p_value < 0.05
    assert rejected <= 5


def test_the_p_value_is_that_of_the_package() -> None:
    package: Any = pytest.importorskip("arch.bootstrap")
    base = losses()
    variants = np.column_stack([base + noise(k) for k in range(4)])
    ours = superior_ability(base, {str(k): variants[:, k] for k in range(4)}, HOURS, 3, seed=7, draws=200)
    peer = package.SPA(base, variants, block_size=12, reps=200, bootstrap="stationary", seed=7)
    peer.compute()
    assert ours.p_value == peer.pvalues["consistent"]


def test_one_variant_is_the_bootstrap_of_one_mean() -> None:
    pytest.importorskip("arch")
    base = losses()
    difference = noise(3) - 0.003
    found = superior_ability(base, {"one": base + difference}, HOURS, 1, seed=0, draws=4_000)
    z = -difference.mean() / (difference.std() / np.sqrt(500))
    assert found.p_upper == pytest.approx(norm.sf(z), abs=0.03)


def test_variants_identical_to_the_benchmark_cannot_beat_it() -> None:
    base = losses()
    found = superior_ability(base, {"twin": base, "double": base + 1e-15}, HOURS, 1, seed=0)
    assert found.p_value is None
    assert found.reason == "identical forecasts"
    assert found.variants == 0


def test_equal_seeds_give_equal_p_values() -> None:
    pytest.importorskip("arch")
    base = losses()
    variants = {f"v{k}": base + noise(k + 1) for k in range(3)}
    first, again = (superior_ability(base, variants, HOURS, 2, seed=5, draws=100) for _ in range(2))
    assert first == again
    sets = [confidence_set(variants, HOURS, 2, seed=5, draws=100) for _ in range(2)]
    assert sets[0] == sets[1]


def test_the_confidence_set_keeps_equals_and_drops_the_worse() -> None:
    pytest.importorskip("arch")
    base = losses()
    variants = {"a": base + noise(1), "b": base + noise(2), "twin of b": base + noise(2)}
    found = confidence_set(variants | {"bad": base + 0.05 + noise(3)}, HOURS, 1, seed=0, draws=300)
    assert found.included == ("a", "b", "twin of b")
    assert found.p_values["b"] == found.p_values["twin of b"]
    assert found.p_values["bad"] < 0.1
    assert max(found.p_values.values()) == 1.0


def test_the_confidence_set_holds_the_best_as_often_as_it_says() -> None:
    pytest.importorskip("arch")
    held = 0
    for world in range(60):
        base = losses(world)
        variants = {f"v{k}": base + 0.002 * (k > 0) + noise(1_000 * world + k + 1) for k in range(5)}
        held += "v0" in confidence_set(variants, HOURS, 1, seed=world, draws=200).included
    assert held >= 49


def test_without_outcomes_enough_nothing_is_tested_and_all_are_kept() -> None:
    base = losses()
    few = superior_ability(base, {"a": base + noise(1)}, HOURS, 24, seed=0)
    assert few.p_value is None
    assert few.reason == "too few independent outcomes"
    assert few.best == "a"
    kept = confidence_set({"a": base, "b": base + noise(1)}, HOURS, 24, seed=0)
    assert kept.included == ("a", "b")
    assert kept.reason == "too few independent outcomes"
    nothing = superior_ability([], {"a": []}, [], 1, seed=0)
    assert nothing.best is None
    assert confidence_set({"a": base, "b": base}, HOURS, 1, seed=0).reason == "identical forecasts"


def test_bad_input_is_refused_in_one_line() -> None:
    base = losses()
    with pytest.raises(InvalidValue, match="needs >= 1 variant"):
        superior_ability(base, {}, HOURS, 1, seed=0)
    with pytest.raises(InvalidValue, match="needs >= 1 variant"):
        confidence_set({}, HOURS, 1, seed=0)
    with pytest.raises(InvalidValue, match="horizon_bars must be >= 1"):
        superior_ability(base, {"a": base}, HOURS, 0, seed=0)
    with pytest.raises(InvalidValue, match=r"level must lie in \(0, 1\)"):
        confidence_set({"a": base}, HOURS, 1, seed=0, level=90.0)


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arch", None)
    monkeypatch.delitem(sys.modules, "arch.bootstrap", raising=False)
    base = losses()
    with pytest.raises(UsageError, match=r"pip install 'consilium\[judge\]'"):
        superior_ability(base, {"a": base + noise(1)}, HOURS, 1, seed=0)


def test_importing_the_judge_does_not_import_the_package() -> None:
    code = "import sys, consilium.training.judge; sys.exit('arch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_forty_eight_variants_take_less_than_thirty_seconds() -> None:
    pytest.importorskip("arch")
    rng = np.random.default_rng(0)
    base = rng.uniform(size=3_600)
    variants = {str(k): base + rng.normal(scale=0.05, size=3_600) for k in range(48)}
    begin = time.process_time()
    superior_ability(base, variants, np.arange(3_600), 1, seed=0)
    assert time.process_time() - begin < 30.0


def test_ablation_tells_what_helps_what_harms_and_what_does_nothing() -> None:
    whole = losses()
    found = ablation(
        {
            "full": whole,
            "no trust": whole + 0.01 + noise(1),
            "no gates": whole - 0.01 + noise(2),
            "no boosts": whole + noise(3),
            "no meta": whole,
        },
        "full",
        HOURS,
        1,
        seed=0,
        draws=200,
    )
    assert {name: part.word for name, part in found.items()} == {
        "no trust": "helps",
        "no gates": "harms",
        "no boosts": "not distinguishable",
        "no meta": "not distinguishable",
    }
    assert found["no meta"].p_holm is None
    assert found["no meta"].comparison.reason == "identical forecasts"
    trust = found["no trust"]
    assert trust.comparison.high is not None
    assert trust.comparison.high < 0.0
    assert trust.p_holm is not None
    assert trust.comparison.p_value is not None
    # Three variants have a test; the smallest p-value is multiplied by three, the second by two.
    assert trust.p_holm / trust.comparison.p_value in (pytest.approx(3.0), pytest.approx(2.0))


def test_an_effect_that_one_test_sees_may_not_survive_many() -> None:
    whole = losses()
    one = {"full": whole, "x": whole + noise(5) + 0.0035}
    alone = ablation(one, "full", HOURS, 1, seed=0, draws=50)["x"]
    many = one | {f"nothing {k}": whole + noise(100 + k) for k in range(12)}
    among = ablation(many, "full", HOURS, 1, seed=0, draws=50)["x"]
    assert alone.word == "helps"
    assert among.word == "not distinguishable"
    assert among.comparison == alone.comparison


def test_an_unknown_full_system_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'full'"):
        ablation({"full": losses(), "x": losses()}, "ful", HOURS, 1, seed=0)
