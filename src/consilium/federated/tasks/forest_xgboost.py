"""From XGBoost's JSON to a forest, and back."""

import json
from typing import Any

import numpy as np
import xgboost as xgb

from consilium.federated.tasks.forest import CLASSES, Forest

NO_PARENT = 2**31 - 1


def read_forest(booster: Any, features: int) -> Forest:
    """Return the trees of a fitted booster of three classes."""
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    trees = learner["gradient_booster"]["model"]["trees"]
    left, right = (
        [np.asarray(tree[f"{side}_children"], dtype=np.int32) for tree in trees] for side in ("left", "right")
    )
    leaf = np.concatenate([child < 0 for child in left])
    feature = np.concatenate([np.asarray(tree["split_indices"], dtype=np.int32) for tree in trees])
    base = np.asarray(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float64)
    base = np.broadcast_to(base, (CLASSES,))
    return Forest(
        kind="xgboost",
        features=features,
        base=(float(base[0]), float(base[1]), float(base[2])),
        sizes=np.array([len(child) for child in left], dtype=np.int64),
        feature=np.where(leaf, np.int32(-1), feature).astype(np.int32),
        value=np.concatenate([np.asarray(tree["split_conditions"], dtype=np.float64) for tree in trees]),
        left=np.where(leaf, 0, np.concatenate(left)).astype(np.int32),
        right=np.where(leaf, 0, np.concatenate(right)).astype(np.int32),
    )


def make_booster(forest: Forest) -> Any:
    """Return a booster that states the forest's margins."""
    rounds = forest.trees // CLASSES
    model = {
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(forest.trees)},
        "iteration_indptr": list(range(0, forest.trees + 1, CLASSES)),
        "tree_info": list(range(CLASSES)) * rounds,
        "trees": [_tree(forest, number) for number in range(forest.trees)],
    }
    content = {
        "learner": {
            "attributes": {},
            "feature_names": [],
            "feature_types": [],
            "gradient_booster": {"model": model, "name": "gbtree"},
            "learner_model_param": {
                "base_score": "[" + ",".join(f"{margin:.9g}" for margin in forest.base) + "]",
                "boost_from_average": "1",
                "num_class": str(CLASSES),
                "num_feature": str(forest.features),
                "num_target": "1",
            },
            "objective": {"name": "multi:softprob", "softmax_multiclass_param": {"num_class": str(CLASSES)}},
        },
        "version": [3, 0, 0],
    }
    booster = xgb.Booster()
    booster.load_model(bytearray(json.dumps(content).encode()))
    return booster


def _tree(forest: Forest, number: int) -> dict[str, Any]:
    here = forest.nodes(number)
    feature, value = forest.feature[here], forest.value[here]
    leaf = feature < 0
    left, right = np.where(leaf, -1, forest.left[here]), np.where(leaf, -1, forest.right[here])
    count = len(feature)
    parents = np.full(count, NO_PARENT, dtype=np.int64)
    inner = np.flatnonzero(~leaf)
    parents[left[inner]] = parents[right[inner]] = inner
    # Children come after parents: from the last on, every node knows its leaves.
    cover = leaf.astype(np.float64)
    for node in inner[::-1]:
        cover[node] = cover[left[node]] + cover[right[node]]
    zeros = [0] * count
    return {
        "base_weights": np.where(leaf, value, 0.0).tolist(),
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": zeros,
        "id": number,
        "left_children": left.tolist(),
        "loss_changes": [0.0] * count,
        "parents": parents.tolist(),
        "right_children": right.tolist(),
        "split_conditions": value.tolist(),
        "split_indices": np.maximum(feature, 0).tolist(),
        "split_type": zeros,
        "sum_hessian": cover.tolist(),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(forest.features),
            "num_nodes": str(count),
            "size_leaf_vector": "1",
        },
    }
