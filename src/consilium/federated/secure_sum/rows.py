"""Short byte strings by index, packed: a coordinator keeps hundreds of thousands of them."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence


class Rows:
    """Byte strings of one width by ascending index, without an object for each.

    Parameters
    ----------
    rows
        Pairs (index, bytes), ascending.
    width
        Bytes of each.

    Examples
    --------
    >>> rows = Rows([(2, b"ab"), (5, b"cd")], 2)
    >>> rows.get(5), rows.get(3), list(rows.indices)
    (b'cd', None, [2, 5])
    """

    __slots__ = ("_blob", "_width", "indices")

    def __init__(self, rows: Iterable[tuple[int, bytes]], width: int) -> None:
        pairs = list(rows)
        self.indices: Sequence[int] = array("I", [index for index, _ in pairs])
        self._blob = b"".join([data for _, data in pairs])
        self._width = width

    def __len__(self) -> int:
        return len(self.indices)

    def get(self, index: int) -> bytes | None:
        """Return the bytes of an index, or None."""
        at = bisect_left(self.indices, index)
        if at == len(self.indices) or self.indices[at] != index:
            return None
        return self._blob[at * self._width : (at + 1) * self._width]
