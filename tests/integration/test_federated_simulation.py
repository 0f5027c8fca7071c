"""The simulation of a round: the real machines, from the command to the report."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consilium.app.cli.root import app
from consilium.app.federated import crowds
from consilium.app.federated.crowds import Crowds
from consilium.app.federated.simulation import Simulated, owner_names, simulate, who_drops
from consilium.domain import InvalidValue, OutputProblem, UsageError
from consilium.federated.session import Mode

FIELDS = {
    "phases", "server_cpu_s", "participant_cpu_s", "upload_bytes", "download_bytes", "wall_s",
    "max_abs_error", "accuracy", "clean_accuracy", "survivors", "excluded", "threats",
}  # fmt: skip


def run(*options: str) -> Any:
    return CliRunner().invoke(app, ["federate", "simulate", "--quiet", *options])


def same(found: dict[str, Any]) -> dict[str, Any]:
    """Return what two equal runs share: all but time and memory."""
    parts = {
        name: value for name, value in found.items() if not name.endswith("_s") and name != "peak_memory_mb"
    }
    parts["phases"] = [{k: v for k, v in phase.items() if not k.endswith("_s")} for phase in found["phases"]]
    return parts


@pytest.mark.promise(
    "003", "secure aggregation: the decoded sum is the integer sum of what the survivors masked"
)
@pytest.mark.parametrize(("n", "d", "dropout"), [(3, 1, 0.0), (40, 300, 0.05), (130, 50, 0.05)])
def test_a_simulated_round_gives_the_exact_sum_of_the_survivors(n: int, d: int, dropout: float) -> None:
    found = simulate(Simulated(participants=n, params=d, dropout=dropout))
    assert set(found) >= FIELDS
    gone = int(dropout * n)
    assert (found["survivors"], len(found["excluded"]), found["max_abs_error"]) == (n - gone, gone, 0)
    assert found["accuracy"] is found["clean_accuracy"] is None
    assert not found["failed"]
    assert [phase["phase"] for phase in found["phases"]] == [
        "advertise", "shares", "masked", "survivors", "release",
    ]  # fmt: skip
    masked = found["phases"][2]
    # A vector is four bytes a value, and some two hundred bytes of header and signature.
    assert (n - gone) * 4 * d < masked["upload_bytes"] < (n - gone) * (4 * d + 500)
    for name in ("server_cpu_s", "participant_cpu_s", "upload_bytes", "download_bytes"):
        assert found[name] == pytest.approx(sum(phase[name] for phase in found["phases"]))
        assert found[name] > 0
    assert found["wall_s"] >= sum(phase["wall_s"] for phase in found["phases"]) > 0


def test_the_same_seed_gives_the_same_bytes_and_several_processes_the_same_report() -> None:
    asked = Simulated(participants=20, params=64, dropout=0.05)
    one = same(simulate(asked))
    assert same(simulate(asked)) == one
    several = same(simulate(Simulated(participants=20, params=64, dropout=0.05, jobs=2)))
    assert several | {"jobs": 1} == one
    assert same(simulate(Simulated(participants=20, params=64, dropout=0.05, seed=8))) != one


def test_processes_do_not_wait_for_each_other_when_messages_fill_their_pipes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def late(number: int, frame: object) -> None:
        raise TimeoutError("processes wait for each other")

    # Deliveries of some 400 kB, answers of 2 MB; a pipe holds about 200 kB.
    monkeypatch.setattr(crowds, "BATCH", 25)
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(240)
    try:
        found = simulate(Simulated(participants=100, params=20_000, jobs=2))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert (found["survivors"], found["max_abs_error"]) == (100, 0)


def test_a_process_that_ends_ends_the_run_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def drop(self: Crowds, owners: Any) -> None:
        self._processes[1].terminate()
        self._processes[1].join()

    monkeypatch.setattr(Crowds, "drop", drop)
    with pytest.raises(
        OutputProblem, match="every process must live until the round is over; got one that ended"
    ):
        simulate(Simulated(participants=20, params=8, dropout=0.05, jobs=2))


def test_exactly_so_many_fall_silent_and_each_is_named_with_a_reason() -> None:
    owners = owner_names(100)
    assert who_drops(owners, 29, 7) == who_drops(owners, 29, 7) != who_drops(owners, 29, 8)
    assert len(set(who_drops(owners, 29, 7))) == 29
    found = simulate(Simulated(participants=40, params=10, dropout=0.05))
    assert [one["participant"] for one in found["excluded"]] == list(who_drops(owner_names(40), 2, 7))
    assert {one["reason"] for one in found["excluded"]} == {
        "fell silent after the shares, as the simulation asked"
    }


def test_more_dropouts_than_the_terms_allow_end_without_a_sum() -> None:
    found = simulate(Simulated(participants=20, params=10, dropout=0.3))
    assert found["failed"].startswith("survivors must be >= 19; got 14")
    assert (found["survivors"], found["max_abs_error"]) == (0, None)
    assert [phase["phase"] for phase in found["phases"]] == ["advertise", "shares", "masked"]


def test_larger_integers_take_the_wider_ring() -> None:
    narrow = simulate(Simulated(participants=5, params=10))
    wide = simulate(Simulated(participants=5, params=10, clip_int=2**30))
    assert (narrow["ring_bits"], wide["ring_bits"]) == (32, 64)
    assert wide["max_abs_error"] == 0
    assert wide["upload_bytes"] - narrow["upload_bytes"] == 5 * 10 * 4


def test_groups_give_the_sum_of_all_survivors() -> None:
    found = simulate(
        Simulated(participants=100, params=20, mode=Mode.GROUPED, gamma=0.0, byzantine=0.0, delta=0.05)
    )
    assert found["groups"] == 2
    assert found["max_abs_error"] == 0
    assert found["survivors"] == 100


def test_visible_updates_give_their_plain_mean() -> None:
    found = simulate(Simulated(participants=20, params=30, mode=Mode.VISIBLE, dropout=0.1))
    assert (found["survivors"], found["neighbours"]) == (18, None)
    assert found["max_abs_error"] < 1e-12
    assert found["upload_bytes"] == 18 * 30 * 8


@pytest.mark.promise("003", "distributed model aggregation: a model learned in rounds of the secure sum")
def test_digits_are_learned_in_secret_as_well_as_in_the_open() -> None:
    result = run("--participants", "10", "--task", "digits", "--rounds", "3", "--json", "-", "--dropout", "0")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert len(found["round_reports"]) == found["rounds"] == 3
    assert found["max_abs_error"] == 0
    assert found["accuracy"] > 0.15
    # The secret sum rounds to 2^-15 of the clip, the open one does not.
    assert abs(found["accuracy"] - found["clean_accuracy"]) < 0.02
    figures = [report["performance"]["log_loss"] for report in found["round_reports"]]
    assert figures == sorted(figures, reverse=True)


def test_the_command_writes_its_report_and_prints_phases_and_promises(tmp_path: Path) -> None:
    path = tmp_path / "R.json"
    result = run("--participants", "12", "--params", "40", "--dropout", "0.05", "--json", str(path))
    assert result.exit_code == 0, result.output
    assert json.loads(path.read_text())["survivors"] == 12
    for said in ("masked", "error 0.", "What this promises", "may collude with up to 1 owners"):
        assert said in result.output


def test_the_command_fails_where_no_sum_came_of_it(tmp_path: Path) -> None:
    path = tmp_path / "R.json"
    result = run("--participants", "12", "--params", "4", "--dropout", "0.5", "--json", str(path))
    assert result.exit_code == 1
    assert "No sum: survivors must be >= 12; got 6" in result.output
    assert json.loads(path.read_text())["failed"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--participants", "0"], 2, "--participants must be >= 3, so that a sum hides each; got 0"),
        (["--participants", "2"], 2, "got 2"),
        (["--dropout", "1"], 2, "--dropout must lie in [0, 1); got 1.0"),
        (["--dropout", "nan"], 2, "--dropout must lie in [0, 1); got nan"),
        (["--params", "0"], 2, "--params must be >= 1; got 0"),
        (["--jobs", "0"], 2, "--jobs must be >= 1; got 0"),
        (["--gamma", "0.5"], 1, "gamma must lie in [0, .5); got 0.5"),
        (["--delta", "-1"], 1, "delta must lie in [0, 1); got -1.0"),
        (["--ring", "32", "--clip-int", "5000000"], 1, "N (C + 1 + R) must be < 2^31; got 5000001000"),
        (["--ring", "33", "--participants", "3"], 1, "ring_bits must be 32 or 64; got 33"),
        (["--clip-int", "0"], 1, "clip_int must lie in [1, 2^31); got 0"),
        (["--mode", "grouped"], 1, "groups must have >= 200 members to hide each, and <= 8 to bear the at"),
        (["--mode", "checked"], 2, "--mode must be one of grouped, sum, visible; got 'checked'"),
        (["--task", "digit"], 2, "did you mean 'digits'?"),
        (["--task", "digits", "--params", "5"], 2, "--params is that of the model with --task; got 5"),
        (["--task", "digits", "--rounds", "0"], 2, "--rounds must be >= 1; got 0"),
        (["--task", "digits", "--data", "x"], 2, "--data goes with --task candles"),
        (["--rounds", "4"], 2, "--rounds goes with --task; got 4"),
        (["--seed", "-1"], 2, "--seed must be >= 0; got -1"),
    ],
)  # fmt: skip
def test_what_no_round_can_serve_is_refused(options: list[str], code: int, said: str) -> None:
    result = run(*options)
    assert result.exit_code == code
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    result = run("--participants", "10000", "--json", str(tmp_path))
    assert result.exit_code == 1
    assert "an output must be a file" in result.stderr


def test_terms_that_no_round_serves_are_refused_before_any_key_is_drawn() -> None:
    with pytest.raises(InvalidValue, match="must leave 73 neighbours for the threshold"):
        simulate(Simulated(participants=100, params=5, gamma=0.45, delta=0.4))
    with pytest.raises(UsageError, match="so that a sum hides each"):
        Simulated(participants=2)
