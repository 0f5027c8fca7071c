"""From LightGBM's text to a forest, and back."""

from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from consilium.federated.tasks.forest import CLASSES, Forest

NUMERIC_LEFT = 2
"""A numeric split whose missing values go left; no value is missing here."""


def read_forest(booster: Any, features: int) -> Forest:
    """Return the trees of a fitted booster of three classes; its base margins are in its first trees."""
    parts = [_columns(section) for section in booster.model_to_string().split("\nTree=")[1:]]
    return Forest(
        kind="lightgbm",
        features=features,
        base=(0.0, 0.0, 0.0),
        sizes=np.array([len(feature) for feature, *_ in parts], dtype=np.int64),
        feature=np.concatenate([part[0] for part in parts]).astype(np.int32),
        value=np.concatenate([part[1] for part in parts]),
        left=np.concatenate([part[2] for part in parts]).astype(np.int32),
        right=np.concatenate([part[3] for part in parts]).astype(np.int32),
    )


def _columns(
    section: str,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return feature, value, left and right of one tree: its inner nodes first, then its leaves."""
    given = dict(line.split("=", 1) for line in section.splitlines() if "=" in line)
    leaves = np.array(given["leaf_value"].split(), dtype=np.float64)
    inner = len(leaves) - 1
    children = {
        side: np.array(given.get(f"{side}_child", "").split(), dtype=np.int64)[:inner]
        for side in ("left", "right")
    }
    # A child below zero is leaf ~child.
    left, right = (np.where(child < 0, inner + ~child, child) for child in children.values())
    nothing = np.zeros(len(leaves), dtype=np.int64)
    thresholds = np.array(given.get("threshold", "").split(), dtype=np.float64)[:inner]
    features = np.array(given.get("split_feature", "").split(), dtype=np.int64)[:inner]
    return (
        np.concatenate([features, nothing - 1]),
        np.concatenate([thresholds, leaves]),
        np.concatenate([left, nothing]),
        np.concatenate([right, nothing]),
    )


def make_booster(forest: Forest) -> Any:
    """Return a booster that states the forest's margins."""
    sections = [f"Tree={number}\n{_section(forest, number)}\n\n" for number in range(forest.trees)]
    head = {
        "version": "v4",
        "num_class": CLASSES,
        "num_tree_per_iteration": CLASSES,
        "label_index": 0,
        "max_feature_idx": forest.features - 1,
        "objective": f"multiclass num_class:{CLASSES}",
        "feature_names": " ".join(f"Column_{number}" for number in range(forest.features)),
        "feature_infos": " ".join(["[-1e300:1e300]"] * forest.features),
        "tree_sizes": " ".join(str(len(section)) for section in sections),
    }
    text = "tree\n" + "".join(f"{name}={value}\n" for name, value in head.items()) + "\n"
    text += "".join(sections) + "end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n"
    return lgb.Booster(model_str=text)


def _section(forest: Forest, number: int) -> str:
    here = forest.nodes(number)
    feature, value = forest.feature[here], forest.value[here]
    leaf = feature < 0
    inner = np.flatnonzero(~leaf)
    # Inner nodes and leaves are numbered apart, both in the order in which they come.
    name = np.where(leaf, ~(np.cumsum(leaf) - 1), np.cumsum(~leaf) - 1)
    leaves = int(leaf.sum())
    cover = leaf.astype(np.int64)
    left, right = forest.left[here], forest.right[here]
    for node in inner[::-1]:
        cover[node] = cover[left[node]] + cover[right[node]]
    lines: dict[str, Any] = {"num_leaves": leaves, "num_cat": 0}
    if len(inner):
        lines |= {
            "split_feature": _joined(feature[inner]),
            "split_gain": _joined(np.zeros(len(inner), dtype=np.int64)),
            "threshold": _joined(value[inner]),
            "decision_type": _joined(np.full(len(inner), NUMERIC_LEFT)),
            "left_child": _joined(name[left[inner]]),
            "right_child": _joined(name[right[inner]]),
        }
    lines |= {"leaf_value": _joined(value[leaf])}
    if len(inner):
        ones = _joined(np.ones(leaves, dtype=np.int64))
        lines |= {
            "leaf_weight": ones,
            "leaf_count": ones,
            "internal_value": _joined(np.zeros(len(inner), dtype=np.int64)),
            "internal_weight": _joined(cover[inner]),
            "internal_count": _joined(cover[inner]),
        }
    lines |= {"is_linear": 0, "shrinkage": 1}
    return "".join(f"{key}={given}\n" for key, given in lines.items())


def _joined(values: NDArray[Any]) -> str:
    return " ".join(repr(value) for value in values.tolist())
