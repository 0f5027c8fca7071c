"""Boosted trees of either library as flat arrays, with thresholds that decide as the library itself does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from consilium.domain import InvalidValue

CLASSES = 3
LESS = 1
"""Mode of ONNX for ``x < t``, which sends XGBoost left."""
LESS_OR_EQUAL = 0
"""Mode of ONNX for ``x <= t``, which sends LightGBM left."""


@dataclass(slots=True, kw_only=True)
class Forest:
    """The margins of boosted trees: ``m_k(x) = base_k + sum of the leaves of class k that x reaches``.

    Inner nodes and leaves are numbered apart. XGBoost compares in float32: its rows are rounded first
    (``single``) and its thresholds are the float32 that its JSON prints, not the decimal number read as a
    float64, which lies beside it and sends rows on the threshold to the other side. LightGBM compares in
    float64. Either way the graph compares the very numbers that the library compares.

    Parameters
    ----------
    n_features
        Columns that it reads.
    mode
        `LESS` or `LESS_OR_EQUAL`.
    single
        Whether rows are rounded to float32 before they are compared.
    base
        Margins before the first tree (down, flat, up).
    """

    n_features: int
    mode: int
    single: bool
    base: tuple[float, float, float]
    roots: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    child: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    is_leaf: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    leaf: list[float] = field(default_factory=list)
    target: list[int] = field(default_factory=list)

    def add_node(self, feature: int, threshold: float) -> int:
        """Add an inner node whose children come later; return its number."""
        self.feature.append(feature)
        self.threshold.append(threshold)
        for side in (0, 1):
            self.child[side].append(0)
            self.is_leaf[side].append(1)
        return len(self.feature) - 1

    def add_leaf(self, value: float, target: int) -> int:
        """Add a leaf of a class; return its number."""
        self.leaf.append(value)
        self.target.append(target)
        return len(self.leaf) - 1

    def hang(self, node: int, side: int, child: int, *, leaf: bool) -> None:
        """Hang a child on the true (0) or the false (1) side of a node."""
        self.child[side][node] = child
        self.is_leaf[side][node] = int(leaf)

    def add_stump(self, value: float, target: int) -> None:
        """Add a tree without a split; ONNX wants an inner node, so both its sides lead to the one leaf."""
        leaf = self.add_leaf(value, target)
        node = self.add_node(0, 0.0)
        for side in (0, 1):
            self.hang(node, side, leaf, leaf=True)
        self.roots.append(node)


def forest_of_xgboost(booster: Any) -> Forest:
    """Read a booster of XGBoost with three classes.

    Raises
    ------
    InvalidValue
        Trees on categories, or leaves of several outputs.
    """
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    settings, model = learner["learner_model_param"], learner["gradient_booster"]["model"]
    given = np.atleast_1d(np.asarray(json.loads(settings["base_score"]), dtype=np.float32))
    down, flat, up = (float(v) for v in np.broadcast_to(given, CLASSES))
    forest = Forest(n_features=int(settings["num_feature"]), mode=LESS, single=True, base=(down, flat, up))
    for tree, target in zip(model["trees"], model["tree_info"], strict=True):
        if any(tree["split_type"]) or int(tree["tree_param"]["size_leaf_vector"]) > 1:
            raise InvalidValue(
                "served trees must split on numbers and have one output a leaf",
                "another kind",
                "train them so",
            )
        _add_xgboost(forest, tree, int(target))
    return forest


def _add_xgboost(forest: Forest, tree: Mapping[str, Any], target: int) -> None:
    left, right, split = tree["left_children"], tree["right_children"], tree["split_indices"]
    # The JSON prints the shortest decimal of a float32; only by way of float32 is it the number compared.
    value = np.asarray(tree["split_conditions"], dtype=np.float32).astype(np.float64).tolist()
    if left[0] < 0:
        forest.add_stump(value[0], target)
        return
    number = {at: forest.add_node(split[at], value[at]) for at in range(len(left)) if left[at] >= 0}
    forest.roots.append(number[0])
    for at, node in number.items():
        for side, below in enumerate((left[at], right[at])):
            leaf = left[below] < 0
            hung = forest.add_leaf(value[below], target) if leaf else number[below]
            forest.hang(node, side, hung, leaf=leaf)


def forest_of_lightgbm(booster: Any) -> Forest:
    """Read a booster of LightGBM with three classes.

    Raises
    ------
    InvalidValue
        Trees on categories.
    """
    dumped = booster.dump_model()
    forest = Forest(
        n_features=int(dumped["max_feature_idx"]) + 1, mode=LESS_OR_EQUAL, single=False, base=(0.0, 0.0, 0.0)
    )
    per_round = int(dumped["num_tree_per_iteration"])
    for index, tree in enumerate(dumped["tree_info"]):
        _add_lightgbm(forest, tree["tree_structure"], index % per_round)
    return forest


def _add_lightgbm(forest: Forest, root: Mapping[str, Any], target: int) -> None:
    if "split_feature" not in root:
        forest.add_stump(root["leaf_value"], target)
        return
    waiting = [(root, -1, 0)]
    while waiting:
        found, parent, side = waiting.pop()
        leaf = "split_feature" not in found
        if leaf:
            number = forest.add_leaf(found["leaf_value"], target)
        else:
            if found["decision_type"] != "<=":
                raise InvalidValue(
                    "served trees must split on numbers", found["decision_type"], "train them so"
                )
            number = forest.add_node(found["split_feature"], found["threshold"])
            waiting += [(found["left_child"], number, 0), (found["right_child"], number, 1)]
        if parent >= 0:
            forest.hang(parent, side, number, leaf=leaf)
        else:
            forest.roots.append(number)
