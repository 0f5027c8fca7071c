"""Writers of the registry that are killed with SIGKILL, and several that write at once."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from consilium.models import make_forecaster
from consilium.training.artefacts import load_artefact, save_artefact
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.registry import ModelRegistry
from consilium.training.trainer import train_final
from training_panels import momentum_panel

KILLS = 100 if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else 8

# For each line on its input the driver starts a process that adds, promotes and rolls back, and kills it.
DRIVER = """
import os, signal, sys, time
from pathlib import Path
from consilium.training.artefacts import load_artefact
from consilium.training.registry import ModelRegistry

registry, model = ModelRegistry(Path(sys.argv[1])), load_artefact(Path(sys.argv[2])).model
for line in sys.stdin:
    writer = os.fork()
    if writer == 0:
        turn = 0
        while True:
            turn += 1
            added = registry.add("logistic", model, ts_created=turn, code_version="v", keep=3)
            registry.promote("logistic", added.number, ts=turn, reason="x")
            if turn % 3 == 0:
                registry.rollback("logistic", ts=turn, reason="x")
    time.sleep(float(line))
    os.kill(writer, signal.SIGKILL)
    _, status = os.waitpid(writer, 0)
    print(os.WTERMSIG(status), flush=True)
"""

WRITERS = ("one", "two", "three")

# One process imports and forks the writers, which all begin at once.
ADDER = """
import os, sys
from pathlib import Path
from consilium.training.artefacts import load_artefact
from consilium.training.registry import ModelRegistry

registry, model = ModelRegistry(Path(sys.argv[1])), load_artefact(Path(sys.argv[2])).model
writers = []
for name in sys.argv[3:]:
    writers.append(os.fork())
    if writers[-1] == 0:
        for turn in range(6):
            added = registry.add("logistic", model, ts_created=turn, code_version=name, keep=100)
            registry.promote("logistic", added.number, ts=turn, reason=name)
            os.write(1, f"{name} {added.number}\\n".encode())
        os._exit(0)
sys.exit(max(os.waitpid(writer, 0)[1] for writer in writers))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = build_dataset(momentum_panel(1, 900), "core14", LabelSpec())
    made = train_final(dataset, partial(make_forecaster, "logistic"), name="logistic", seed=1)
    return save_artefact(tmp_path_factory.mktemp("source") / "logistic", made, ts_created=0, code_version="v")


@pytest.mark.long
@pytest.mark.promise("004", "a registry of models survives kill -9 at any instant")
@pytest.mark.parametrize("flat", [False, True])
def test_a_killed_writer_leaves_a_registry_that_serves_and_takes_more(
    tmp_path: Path, source: Path, flat: bool
) -> None:
    registry = ModelRegistry(tmp_path / "models")
    model = load_artefact(source).model
    if flat:
        save_artefact(tmp_path / "models" / "logistic", model, ts_created=0, code_version="v")
    else:
        registry.add("logistic", model, ts_created=0, code_version="v")
    highest = 0
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(registry.folder), str(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        kill = 0
        # Further kills on a slow machine, until some writer came to its end.
        while kill < KILLS or (highest < 3 and kill < 10 * KILLS):
            # Steps that do not divide the time of a round: each kill falls at another place in it.
            driver.stdin.write(f"{0.004 + 0.0137 * kill}\n")
            kill += 1
            driver.stdin.flush()
            assert driver.stdout.readline() == "9\n"
            served = registry.served("logistic")
            assert served is not None
            assert load_artefact(served.folder).model.name == "logistic"
            versions = registry.versions("logistic")
            assert all(not version.problem for version in versions)
            newest = max(version.number for version in versions)
            assert newest >= highest
            highest = newest
        driver.stdin.close()
    added = registry.add("logistic", model, ts_created=99, code_version="v")
    assert added.number == highest + 1
    assert registry.promote("logistic", added.number, ts=1, reason="x").served
    assert highest >= 3


def test_writers_at_once_lose_nothing_and_share_no_number(tmp_path: Path, source: Path) -> None:
    folder = tmp_path / "models"
    done = subprocess.run(
        [sys.executable, "-c", ADDER, str(folder), str(source), *WRITERS],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = [line.split() for line in done.stdout.splitlines()]
    numbers = sorted(int(number) for _, number in told)
    assert numbers == list(range(1, 19))
    registry = ModelRegistry(folder)
    assert [version.number for version in registry.versions("logistic")] == numbers
    assert sum(event.kind == "added" for event in registry.events("logistic")) == 18
    by = {v.number: load_artefact(v.folder).code_version for v in registry.versions("logistic")}
    assert all(by[int(number)] == name for name, number in told)
