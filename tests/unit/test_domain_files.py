"""Files are whole at any instant: after an interrupt, after a kill, and with several writers."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from consilium.domain.files import sweep_unfinished, whole_file


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _write_half(path: Path, error: type[BaseException]) -> None:
    with whole_file(path) as out:
        out.write(b"half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, OSError])
def test_a_body_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(error):
        _write_half(path, error)
    assert (path.read_text(), _names(tmp_path)) == ("old", ["x.txt"])


def test_readers_see_the_old_file_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with whole_file(path) as out:
        out.write(b"new")
        out.flush()
        assert path.read_text() == "old"
    assert (path.read_text(), _names(tmp_path)) == ("new", ["x.txt"])


def test_a_place_that_cannot_be_taken_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError), whole_file(tmp_path / "folder") as out:
        out.write(b"x")
    assert _names(tmp_path) == ["folder"]


def test_a_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with whole_file(tmp_path / "whole"):
        pass
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


WRITER = """
import sys
from pathlib import Path
from consilium.domain.files import whole_file
path, letter, times = Path(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(times):
    with whole_file(path) as out:
        for _ in range(50):
            out.write(letter * 20_000)
"""


def _writer(path: Path, letter: str, times: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(path), letter, str(times)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _end(process: "subprocess.Popen[str]") -> int:
    try:
        process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode


def test_two_processes_that_write_one_file_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    writers = [_writer(path, letter, 40) for letter in "ab"]
    for writer in writers:
        _go(writer)
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 1_000_000
            assert len(set(content)) == 1
            seen.add(content[:1])
        sweep_unfinished(tmp_path)
    assert [_end(writer) for writer in writers] == [0, 0]
    assert seen <= {b"a", b"b"}
    assert (len(path.read_bytes()), _names(tmp_path)) == (1_000_000, ["x.bin"])


def _stopped(path: Path, how: signal.Signals) -> list[Path]:
    """Stop a writer in the midst of a file; return what it left beside it."""
    process = _writer(path, "a", 1_000_000)
    _go(process)
    until = time.monotonic() + 30
    while not list(path.parent.glob(".*.part")) and time.monotonic() < until:
        time.sleep(0.001)
    process.send_signal(how)
    assert _end(process) != 0
    return list(path.parent.glob(".*.part"))


def test_an_interrupt_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_text("old")
    for _ in range(3):
        assert _stopped(tmp_path / "x.bin", signal.SIGINT) == []
    assert (tmp_path / "x.bin").read_bytes() in (b"old", b"a" * 1_000_000)


def test_what_a_kill_leaves_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_text("old")
    # A kill that falls between two files leaves nothing; one of these does not.
    left = [_stopped(tmp_path / "x.bin", signal.SIGKILL) for _ in range(5)]
    assert any(left)
    assert (tmp_path / "x.bin").read_bytes() in (b"old", b"a" * 1_000_000)
    sweep_unfinished(tmp_path)
    assert _names(tmp_path) == ["x.bin"]


SWEEPER = """
import sys
from pathlib import Path
from consilium.domain.files import sweep_unfinished
print("ready", flush=True)
while True:
    sweep_unfinished(Path(sys.argv[1]))
"""


def test_a_sweep_takes_nothing_from_a_living_writer(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SWEEPER, str(tmp_path)]
    sweeper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert sweeper.stdout is not None
        assert sweeper.stdout.readline() == "ready\n"
        for number in range(400):
            with whole_file(tmp_path / "x.txt") as out:
                out.write(b"%d" % number)
        assert sweeper.poll() is None
    finally:
        sweeper.kill()
        sweeper.communicate()
    assert (_names(tmp_path), (tmp_path / "x.txt").read_text()) == (["x.txt"], "399")
