"""The ways to label rows, by kind."""

from collections.abc import Mapping

from consilium.domain import UnknownName
from consilium.training.labels import LabelDefinition, LabelSpec, TripleBarrierSpec
from consilium.training.snapshot_labels import SnapshotLabelSpec

DEFINITIONS: Mapping[str, type[LabelSpec] | type[TripleBarrierSpec] | type[SnapshotLabelSpec]] = {
    LabelSpec.kind: LabelSpec,
    TripleBarrierSpec.kind: TripleBarrierSpec,
    SnapshotLabelSpec.kind: SnapshotLabelSpec,
}


def spec_from_dict(fields: Mapping[str, float | int | str]) -> LabelDefinition:
    """Read what ``as_dict`` wrote.

    Raises
    ------
    UnknownName
        A kind that is no labeller.

    Examples
    --------
    >>> spec_from_dict(TripleBarrierSpec(up=1.5).as_dict()) == TripleBarrierSpec(up=1.5)
    True
    """
    kind = str(fields.get("kind", ""))
    if kind not in DEFINITIONS:
        raise UnknownName("label", kind, DEFINITIONS)
    parameters = {name: value for name, value in fields.items() if name != "kind"}
    made: LabelDefinition = DEFINITIONS[kind](**parameters)  # type: ignore[arg-type]  # it checks what was read
    return made
