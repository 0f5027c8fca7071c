"""Coordinators that lie: nobody's update enters a sum that it did not agree to."""

from pathlib import Path

from consilium.federated.messages import Phase
from lying_desk import LyingDesk

VICTIM = "desk02"


def test_an_honest_round_counts_everybody(tmp_path: Path) -> None:
    world = LyingDesk(tmp_path)
    (report,) = world.play()
    assert report["survivors"] == list(world.names)
    assert all(world.phases(name)[-1] is Phase.RELEASE for name in world.names)
