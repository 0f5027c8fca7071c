"""The loop that teaches networks: its bits, its checkpoints, its errors."""

import json
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

from consilium.domain import ArtefactRefused, OutputProblem, UsageError
from consilium.models.layers.network.learning import Diverged, Lesson, Plan, learn, seeded
from consilium.models.layers.windows import Windows
from consilium.training.network.checkpoint import STATE, Checkpoint
from consilium.training.network.device import choose_device, choose_precision
from consilium.training.network.loop import TooLarge, TrainingLoop
from consilium.training.network.recompute import blocks_of
from consilium.training.teaching import Lap, Teaching
from loop_cases import FEATURES, STEPS, same, small, windows

ROWS = 43
IDENTITY = {"model": "patchtst", "features": "a, b, c"}
FULL = Teaching(precision="fp32")
STEPPED = Teaching(every_seconds=0.0)
"""Writes a checkpoint after every step."""


def taught(loop: Any, rows: int = ROWS, **changed: Any) -> Any:
    X, y = windows(rows + 30)
    return small(**changed).fit(X[:rows], y[:rows], validation=(X[rows:], y[rows:]), loop=loop)


def loop_in(folder: Path, teaching: Teaching = STEPPED) -> TrainingLoop:
    return TrainingLoop(teaching, Checkpoint(folder, IDENTITY), name="patchtst", part="fold 1")


class Interrupted(Exception):
    """Stands for a kill in the middle."""


def interrupted(inner: TrainingLoop, after: int) -> Callable[..., Any]:
    """Return the loop, broken off when it reads the batch with that number."""

    class Inputs:
        def __init__(self, rows: Any) -> None:
            self.rows, self.read = rows, 0

        def __getitem__(self, chosen: Any) -> Any:
            if self.read == after:
                raise Interrupted
            self.read += 1
            return self.rows[chosen]

    def loop(network: Any, lesson: Any, plan: Plan) -> Any:
        return inner(network, taken(lesson, Inputs(lesson.inputs)), plan)

    return loop


def taken(lesson: Lesson, inputs: Any) -> Lesson:
    """Return the lesson with something else to read batches from."""
    return replace(lesson, inputs=inputs)


def test_the_loop_has_the_bits_of_the_plain_one_and_repeats_them() -> None:
    plain, ours, again = taught(learn), taught(TrainingLoop(FULL)), taught(TrainingLoop(FULL))
    assert same(plain, ours)
    assert same(ours, again)
    assert plain.learnt_ == ours.learnt_
    assert not same(ours, taught(TrainingLoop(FULL), seed=1))
    assert same(taught(TrainingLoop(Teaching())), taught(TrainingLoop(Teaching())))


@pytest.mark.promise("004", "gradient_accumulation_steps=4: four batches make one step, 32 x 4 rows")
def test_four_accumulated_batches_make_the_step_of_one_four_times_as_large() -> None:
    X, y = windows(64)
    options: Any = {"epochs": 1, "dropout": 0.0, "clip": 1e9}
    several = small(**options, batch_size=16, accumulate=4).fit(X, y, loop=TrainingLoop(Teaching()))
    one = small(**options, batch_size=64, accumulate=1).fit(X, y, loop=TrainingLoop(Teaching()))
    # Adam's first step turns a gradient of rounding errors into a full one, so a few weights may differ.
    near = [
        torch.isclose(ours, theirs, atol=1e-4).flatten()
        for ours, theirs in zip(several.network_.parameters(), one.network_.parameters(), strict=True)
    ]
    assert float(torch.cat(near).float().mean()) > 0.98


# 43 rows in batches of 8 are 6 batches and 2 steps an epoch: these fall into the first step, between two,
# into the short last group, right behind an epoch, and near the end.
@pytest.mark.parametrize("after", [2, 4, 5, 6, 11, 17])
def test_a_training_that_was_broken_off_goes_on_to_the_same_bits(tmp_path: Path, after: int) -> None:
    undisturbed = taught(TrainingLoop(Teaching()))
    with pytest.raises(Interrupted):
        taught(interrupted(loop_in(tmp_path), after))
    resumed = taught(loop_in(tmp_path))
    assert same(resumed, undisturbed)
    assert resumed.learnt_ == undisturbed.learnt_


def test_a_training_may_be_broken_off_again_and_again(tmp_path: Path) -> None:
    for _ in range(3):
        with pytest.raises(Interrupted):
            taught(interrupted(loop_in(tmp_path), 5))
    assert same(taught(loop_in(tmp_path)), taught(TrainingLoop(Teaching())))


def test_a_training_that_is_over_is_not_repeated(tmp_path: Path) -> None:
    first = taught(loop_in(tmp_path))
    assert same(taught(interrupted(loop_in(tmp_path), 0)), first)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".json", ".safetensors"]


@pytest.mark.promise("004", "early_stopping_patience and save_best_only: the best epoch's weights are kept")
def test_training_stops_after_patience_and_keeps_the_best_epoch() -> None:
    model = taught(TrainingLoop(Teaching()), epochs=40, patience=2, learning_rate=0.05)
    losses = model.learnt_.validation_losses
    assert model.learnt_.best_epoch == 1 + int(np.argmin(losses))
    assert len(losses) == model.learnt_.best_epoch + 2 < 40
    X, y = windows(ROWS + 30)
    stated = model.quantities(X[ROWS:])["direction"]
    assert -np.log(stated[np.arange(30), y[ROWS:]]).mean() == pytest.approx(min(losses), abs=1e-6)


def test_windows_cut_when_they_are_read_give_the_same_bits_as_windows_laid_out() -> None:
    rng = np.random.default_rng(1)
    table = rng.standard_normal((120, FEATURES)).astype(np.float32)
    table[:3] = np.nan
    last = np.arange(STEPS + 2, 120)
    y = (table[last, 0] > 0).astype(np.int64) * 2
    cut: Any = Windows(table=table, last=last, steps=STEPS)
    laid = np.stack([table[i - STEPS + 1 : i + 1] for i in last])
    assert np.array_equal(cut[::7], laid[::7])
    options: Any = {"loop": TrainingLoop(Teaching())}
    lazy = small(epochs=1).fit(cut, y, validation=(cut, y), **options)
    assert same(lazy, small(epochs=1).fit(laid, y, validation=(laid, y), **options))
    assert np.array_equal(lazy.predict_proba(cut), lazy.predict_proba(laid))
    with pytest.raises(ValueError, match=r"got nan in row 2, column 0"):
        Windows(table=table, last=last - 1, steps=STEPS)
    with pytest.raises(ValueError, match="must lie in a table of 120"):
        Windows(table=table, last=last + 1, steps=STEPS)


def test_computing_inner_results_again_changes_no_bit() -> None:
    assert same(taught(TrainingLoop(Teaching(recompute=True))), taught(TrainingLoop(Teaching())))


def test_a_block_that_counts_its_batches_is_not_computed_twice() -> None:
    model = taught(TrainingLoop(Teaching(recompute=True)), norm="post_batch")
    assert blocks_of(model.network_) == []
    assert same(model, taught(TrainingLoop(Teaching()), norm="post_batch"))


@pytest.mark.promise("004", "use_amp: mixed precision where the device gives it")
def test_mixed_precision_learns_what_full_precision_learns() -> None:
    full = taught(TrainingLoop(FULL), epochs=10, accumulate=1)
    mixed = taught(TrainingLoop(Teaching(precision="bf16")), epochs=10, accumulate=1)
    assert not same(full, mixed)
    assert all(part.dtype == torch.float32 for part in mixed.network_.parameters())
    X, y = windows(200, seed=5)
    assert min(full.score(X, y), mixed.score(X, y)) > 0.85


@pytest.mark.parametrize("there", [True, False])
def test_a_processor_that_multiplies_bf16_is_asked_to(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": there})
    assert choose_precision("auto", torch.device("cpu")) == (torch.bfloat16 if there else None)
    assert choose_precision("fp32", torch.device("cpu")) is None


def test_a_device_or_precision_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=r"device must be auto, cpu, cuda or cuda:<number>; got 'gpu'"):
        choose_device("gpu")
    with pytest.raises(UsageError, match=r"got 'half': use auto"):
        choose_precision("half", torch.device("cpu"))
    with pytest.raises(UsageError, match=r"fp16 needs a CUDA device; got cpu: use bf16 or fp32"):
        choose_precision("fp16", torch.device("cpu"))
    if not torch.cuda.is_available():
        assert choose_device("auto") == torch.device("cpu")
        with pytest.raises(UsageError, match=r"device cuda must be there; got 0 CUDA devices: use cpu"):
            choose_device("cuda")


def test_a_loss_that_diverges_names_the_rate_to_try_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    def loop(network: Any, lesson: Any, plan: Plan) -> Any:
        kept.append(network)
        return loop_in(tmp_path)(network, lesson, plan)

    kept: list[Any] = []
    with pytest.raises(Diverged, match=r"loss of patchtst must stay finite; got .* try learning_rate 1e\+29"):
        taught(loop, learning_rate=1e30, clip=1e30)
    assert all(bool(torch.isfinite(part).all()) for part in kept[0].state_dict().values())
    if (tmp_path / STATE).exists():
        tensors, _ = Checkpoint(tmp_path, IDENTITY).read() or ({}, {})
        assert all(bool(torch.isfinite(v).all()) for k, v in tensors.items() if k.startswith("best."))


def test_a_batch_that_does_not_fit_names_the_size_to_try() -> None:
    class Full:
        def __getitem__(self, chosen: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    def loop(network: Any, lesson: Any, plan: Plan) -> Any:
        return TrainingLoop(Teaching())(network, taken(lesson, Full()), plan)

    with pytest.raises(
        TooLarge, match=r"got batch_size 8: try batch_size 4 and accumulate 8, or --recompute"
    ):
        taught(loop)


def test_memory_that_the_processor_has_not_got_is_told_as_a_batch_that_does_not_fit() -> None:
    def loop(network: Any, lesson: Any, plan: Plan) -> Any:
        class Greedy:
            def __getitem__(self, chosen: Any) -> Any:
                return torch.empty(1 << 50).numpy()

        return TrainingLoop(Teaching())(network, taken(lesson, Greedy()), plan)

    with pytest.raises(TooLarge, match="memory of cpu; got batch_size 8"):
        taught(loop)


def test_a_checkpoint_of_another_order_of_features_is_refused_in_one_line(tmp_path: Path) -> None:
    taught(loop_in(tmp_path), epochs=1)
    other = Checkpoint(tmp_path, IDENTITY | {"features": "b, a, c"})
    with pytest.raises(
        ArtefactRefused, match=r"with features b, a, c; got a, b, c: delete that folder to begin anew"
    ) as refused:
        taught(TrainingLoop(Teaching(), other))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing", "json", "format"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    with pytest.raises(Interrupted):
        taught(interrupted(loop_in(tmp_path), 10))
    (tensors,), state = tmp_path.glob("*.safetensors"), tmp_path / STATE
    data = tensors.read_bytes()
    if damage == "cut":
        tensors.write_bytes(data[:-10])
    elif damage == "flipped":
        tensors.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "missing":
        tensors.unlink()
    elif damage == "json":
        state.write_text(state.read_text()[:-20])
    else:
        state.write_text(json.dumps(json.loads(state.read_text()) | {"format": 99}))
    with pytest.raises(ArtefactRefused, match="to begin anew"):
        taught(loop_in(tmp_path))


def test_a_checkpoint_whose_tensors_fit_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        taught(interrupted(loop_in(tmp_path), 10))
    with pytest.raises(ArtefactRefused, match=r"must fit the network; got .*size mismatch"):
        taught(loop_in(tmp_path), d_model=16)


def test_two_trainings_do_not_share_a_checkpoint(tmp_path: Path) -> None:
    with Checkpoint(tmp_path, IDENTITY).held(), pytest.raises(OutputProblem, match="must be alone"):
        taught(loop_in(tmp_path))
    taught(loop_in(tmp_path), epochs=1)


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputProblem, match=r"writable folder with room in it; got .*Not a directory"):
        taught(loop_in(tmp_path / "file" / "below"))


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes: the system refuses the rest of a write, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_without_room_is_told_in_one_line_and_the_last_whole_checkpoint_stays(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        taught(interrupted(loop_in(tmp_path), 10))
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with room_for(1_000), pytest.raises(OutputProblem, match="free space and train again") as full:
        taught(loop_in(tmp_path))
    assert "\n" not in str(full.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
    assert same(taught(loop_in(tmp_path)), taught(TrainingLoop(Teaching())))


def test_the_laps_count_up_to_the_end_and_tell_the_losses() -> None:
    laps: list[Lap] = []
    model = taught(TrainingLoop(Teaching(tell=laps.append), name="patchtst", part="fold 2"))
    assert [lap.share for lap in laps] == [1 / 3, 2 / 3, 1.0]
    assert {(lap.model, lap.part, lap.epochs) for lap in laps} == {("patchtst", "fold 2", 3)}
    assert [lap.validation for lap in laps] == list(model.learnt_.validation_losses)
    assert laps[-1].loss == model.learnt_.train_losses[-1]
    assert laps[-1].seconds_left == 0.0


def test_the_loop_leaves_the_random_state_and_the_threads_as_they_were() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    with seeded(3, 1):
        taught(TrainingLoop(Teaching()))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads
