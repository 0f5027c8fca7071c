"""What another system publishes is kept and never becomes a command, in a replay neither."""

from pathlib import Path
from typing import Any

import pytest

from consilium.app.live.assembly import assemble
from consilium.app.live.recovery import Replayer
from consilium.app.settings import Settings

FORGED: list[tuple[str, dict[str, Any]]] = [
    ("ensemble.rule_changed", {"rule": "majority", "by": "x", "ts_event": 1}),
    ("ensemble.rule_changed", {"rule": "nonsense", "by": "x", "ts_event": 1}),
    ("ensemble.model_configured", {"model": "xgboost", "enabled": False, "by": "x", "ts_event": 1}),
    ("market.step_done", {"feed": "f", "ts_event": 1, "digest": "d", "candles": 0}),
]


@pytest.mark.parametrize(("topic", "payload"), FORGED)
def test_a_forged_command_of_the_outside_is_not_applied_by_a_replay(
    topic: str, payload: dict[str, Any], tmp_path: Path
) -> None:
    with assemble(Settings(data_dir=tmp_path)) as system:
        system.state_hash()  # once it has recovered
        before = system.engine.state_hash()
        event = system.publish_outside(
            topic, source="other", sequence=1, ts_event=1, payload=payload, by="publisher"
        )
        assert event.topic == topic
        assert Replayer(system.pipeline, system.journal, None).run(0).steps == 0
        assert system.engine.state_hash() == before
