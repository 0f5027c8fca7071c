"""Boosted trees as they travel: splits and leaves, no counts and no ranges of anybody's rows."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue

MAGIC = b"consilium forest 1\n"
KINDS = ("xgboost", "lightgbm")
CLASSES = 3
MOST_TREES = 30_000
MOST_NODES = 10_000_000
LARGEST = 1e6
"""Of a leaf: further from 0 than any margin that means something."""

_HEAD = struct.Struct("<BIIQ3d")
_NODE_BYTES = 4 + 8 + 4 + 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forest:
    """Trees of three classes, taking turns: down, flat, up, down, ...

    Letters: T trees, M nodes of all of them one after the other.

    Parameters
    ----------
    kind
        Whose trees they are: with ``xgboost`` x < threshold goes left, with ``lightgbm`` x <= threshold.
    features
        Features F that are read, >= 1.
    base
        Margins (down, flat, up) before any tree.
    sizes
        Shape (T,), nodes of each tree, >= 1.
    feature
        Shape (M,), which feature a node reads; -1 for a leaf.
    value
        Shape (M,), a node's threshold or a leaf's value.
    left, right
        Shape (M,), children, counted within the tree and after their parent; 0 for a leaf.

    Raises
    ------
    InvalidValue
        Something that is no such forest; see `require`.
    """

    kind: str
    features: int
    base: tuple[float, float, float]
    sizes: NDArray[np.int64]
    feature: NDArray[np.int32]
    value: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]

    def __post_init__(self) -> None:
        self._require_counts()
        self._require_nodes()

    @property
    def trees(self) -> int:
        """T."""
        return len(self.sizes)

    def nodes(self, tree: int) -> slice:
        """Return where the nodes of a tree are."""
        stop = int(self.sizes[: tree + 1].sum())
        return slice(stop - int(self.sizes[tree]), stop)

    def _require_counts(self) -> None:
        if self.kind not in KINDS:
            raise InvalidValue(f"a forest must be of {' or '.join(KINDS)}", repr(self.kind), "send its kind")
        if not 1 <= self.trees <= MOST_TREES or self.trees % CLASSES:
            raise InvalidValue(
                f"a forest must have 3 to {MOST_TREES:,} trees, as many for each class",
                self.trees,
                "grow fewer",
            )
        nodes = {len(column) for column in (self.feature, self.value, self.left, self.right)}
        if np.any(self.sizes < 1) or nodes != {int(self.sizes.sum())}:
            raise InvalidValue("a forest must have its nodes", f"{sorted(nodes)}", "send all of them")

    def _require_nodes(self) -> None:
        inner = self.feature >= 0
        place = np.arange(len(self.feature)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        within = np.repeat(self.sizes, self.sizes)
        wrong = {
            f"features of nodes must lie in [-1, {self.features})": (self.feature < -1)
            | (self.feature >= self.features),
            "thresholds and leaves must be finite": ~np.isfinite(self.value),
            f"leaves must lie in [-{LARGEST:g}, {LARGEST:g}]": ~inner & ~(np.abs(self.value) <= LARGEST),
            "children must come after their parent, within its tree": inner
            & ~((self.left > place) & (self.left < within) & (self.right > place) & (self.right < within)),
        }
        for bound, bad in wrong.items():
            if bad.any():
                at = int(np.flatnonzero(bad)[0])
                found = f"feature {self.feature[at]}, value {self.value[at]:g} in node {at}"
                raise InvalidValue(bound, found, "leave that participant out")
        if not np.all(np.abs(self.base) <= LARGEST):
            raise InvalidValue(
                "margins before any tree must be finite", self.base, "leave that participant out"
            )

    def to_bytes(self) -> bytes:
        """Write it: little-endian columns after a head of fixed length."""
        head = _HEAD.pack(KINDS.index(self.kind), self.features, self.trees, len(self.feature), *self.base)
        columns = (
            self.sizes.astype("<i8"),
            self.feature.astype("<i4"),
            self.value.astype("<f8"),
            self.left.astype("<i4"),
            self.right.astype("<i4"),
        )
        return MAGIC + head + b"".join(column.tobytes() for column in columns)

    @classmethod
    def from_bytes(cls, data: bytes, *, features: int) -> Self:
        """Read what `to_bytes` wrote; nothing is laid out before the length is known to be right.

        Parameters
        ----------
        data
            From anybody.
        features
            F of the session.

        Raises
        ------
        InvalidValue
            Not a forest of so many features.
        """
        start = len(MAGIC) + _HEAD.size
        if len(data) < start or not data.startswith(MAGIC):
            raise InvalidValue(
                "a forest must begin as one", f"{len(data)} bytes that do not", "upgrade consilium"
            )
        kind, reads, trees, nodes, *base = _HEAD.unpack_from(data, len(MAGIC))
        if kind >= len(KINDS) or reads != features:
            raise InvalidValue(f"a forest must read {features} features", reads, "grow it on the session's")
        if trees > MOST_TREES or nodes > MOST_NODES or len(data) != start + 8 * trees + _NODE_BYTES * nodes:
            raise InvalidValue(
                f"a forest of {trees} trees and {nodes} nodes must have its length",
                f"{len(data)} bytes",
                "send it whole",
            )
        columns, at = [], start
        for dtype, count in (("<i8", trees), ("<i4", nodes), ("<f8", nodes), ("<i4", nodes), ("<i4", nodes)):
            columns.append(np.frombuffer(data, dtype=dtype, count=count, offset=at))
            at += columns[-1].nbytes
        sizes, feature, value, left, right = columns
        return cls(
            kind=KINDS[kind],
            features=reads,
            base=(base[0], base[1], base[2]),
            sizes=sizes,
            feature=feature,
            value=value,
            left=left,
            right=right,
        )


def united(forests: Mapping[str, Forest]) -> Forest:
    """Return the union of all trees with equal weights: its margin is the mean of theirs.

    Parameters
    ----------
    forests
        By participant, >= 1, all of one kind; joined in the order of ids.

    Raises
    ------
    InvalidValue
        None, different kinds or features, or more trees than a forest may have.
    """
    ordered = [forests[name] for name in sorted(forests)]
    if not ordered:
        raise InvalidValue("a union needs >= 1 forest", "none", "wait for participants")
    first = ordered[0]
    if any((one.kind, one.features) != (first.kind, first.features) for one in ordered):
        raise InvalidValue(
            "forests must be of one kind and read the same features", "several", "agree on one"
        )
    share = 1.0 / len(ordered)
    margins = np.mean([one.base for one in ordered], axis=0)
    feature = np.concatenate([one.feature for one in ordered])
    value = np.concatenate([one.value for one in ordered])
    return Forest(
        kind=first.kind,
        features=first.features,
        base=(float(margins[0]), float(margins[1]), float(margins[2])),
        sizes=np.concatenate([one.sizes for one in ordered]),
        feature=feature,
        value=np.where(feature < 0, value * share, value),
        left=np.concatenate([one.left for one in ordered]),
        right=np.concatenate([one.right for one in ordered]),
    )
