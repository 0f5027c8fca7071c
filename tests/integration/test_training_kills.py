"""A writer that is killed with SIGKILL, again and again, in the middle of saving."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from consilium.models import make_forecaster
from consilium.training.artefacts import load_artefact, save_artefact
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.trainer import train_final
from training_panels import momentum_panel

KILLS = 16

# The driver imports once; for each line on its input it starts a process that saves two models in turn, and
# kills it after the given seconds.
DRIVER = """
import os, signal, sys, time
from pathlib import Path
from consilium.training.artefacts import load_artefact, save_artefact

target, sources = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
models = [load_artefact(source).model for source in sources]
for line in sys.stdin:
    saver = os.fork()
    if saver == 0:
        turn = 0
        while True:
            save_artefact(target, models[turn % 2], ts_created=turn % 2, code_version="v")
            turn += 1
    time.sleep(float(line))
    os.kill(saver, signal.SIGKILL)
    _, status = os.waitpid(saver, 0)
    print(os.WTERMSIG(status), flush=True)
"""


def test_a_killed_writer_leaves_the_old_version_or_the_new_one(tmp_path: Path) -> None:
    dataset = build_dataset(momentum_panel(1, 900), "core14", LabelSpec())
    sources = []
    for turn, name in enumerate(("logistic", "lightgbm")):
        options: dict[str, Any] = {} if name == "logistic" else {"rounds": 5}
        made = train_final(dataset, partial(make_forecaster, name, **options), name=name, seed=1)
        sources.append(save_artefact(tmp_path / name, made, ts_created=turn, code_version="v"))
    target = tmp_path / "pool" / "model"
    save_artefact(target, load_artefact(sources[0]).model, ts_created=0, code_version="v")
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(target), *map(str, sources)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        for kill in range(KILLS):
            # Steps that do not divide the time of a save: each kill falls at another place in it.
            driver.stdin.write(f"{0.005 + 0.0037 * kill}\n")
            driver.stdin.flush()
            assert driver.stdout.readline() == "9\n"
            loaded = load_artefact(target)
            assert loaded.model.name == ("logistic", "lightgbm")[loaded.ts_created]
            p, _ = loaded.predict(dataset.inputs(dataset.labelled.nonzero()[0][:5]))
            assert p.shape == (5, 3)
        driver.stdin.close()
    save_artefact(target, load_artefact(sources[1]).model, ts_created=1, code_version="v")
    assert sorted(path.name for path in target.parent.iterdir()) == [".model.lock", "model"]
