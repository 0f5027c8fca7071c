"""Records of rounds on a disk: whole or not there, sealed where they are secret, kept through a kill."""

import os
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from consilium.app.federated.record_log import HEAD, RecordLog
from consilium.app.federated.secret_store import ALL, KEY_FILE, RECORDS_FILE, FileSecretStore
from consilium.domain import ArtefactRefused, DataProblem, OutputProblem, UsageError
from small_disk import ballast, small_disk

ATTEMPT = ("session", 3, 1)
SECRET = b"a key that nobody else may read!"


def logged(path: Path, *records: bytes) -> Path:
    with RecordLog(path) as log:
        for record in records:
            log.append(record)
    return path


def kept(path: Path) -> list[bytes]:
    with RecordLog(path) as log:
        return log.records


def test_a_torn_tail_is_cut_off_and_what_was_kept_is_there(tmp_path: Path) -> None:
    path = logged(tmp_path / "log", b"one", b"", b"three" * 1000)
    whole = path.read_bytes()
    for cut in (1, HEAD.size - 1, HEAD.size + 3, len(b"three" * 1000) + HEAD.size - 1):
        path.write_bytes(whole[:-cut])
        assert kept(path) == [b"one", b""]
        assert kept(logged(path, b"again")) == [b"one", b"", b"again"]


def test_damage_before_the_end_is_named(tmp_path: Path) -> None:
    path = logged(tmp_path / "log", b"one", b"two", b"three")
    raw = bytearray(path.read_bytes())
    raw[2 * HEAD.size + 4] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataProblem, match="damage in record 2"):
        RecordLog(path)


@pytest.mark.promise("003", "a damaged store is refused, never cut off in silence")
def test_no_wrong_bit_of_a_head_cuts_off_what_was_told_of(tmp_path: Path) -> None:
    path = logged(tmp_path / "log", *(b"record %d" % number for number in range(6)))
    whole = path.read_bytes()
    at = 2 * (HEAD.size + len(b"record 0"))
    for bit in range(8 * HEAD.size):
        raw = bytearray(whole)
        raw[at + bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        with pytest.raises(DataProblem, match=f"damage in the head of record 3 at byte {at}: restore"):
            RecordLog(path)
        assert path.read_bytes() == raw
    for wrong in (whole[:at] + bytes(HEAD.size), b"".join([whole, b"\xff" * (HEAD.size + 1)])):
        path.write_bytes(wrong)
        with pytest.raises(DataProblem, match="damage in the head"):
            RecordLog(path)


def test_a_file_whose_heads_had_no_checksum_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "log"
    older = b"".join(struct.pack("<II", len(one), zlib.crc32(one)) + one for one in (b"first", b"second"))
    path.write_bytes(older)
    with pytest.raises(DataProblem, match="damage in the head of record 1 at byte 0"):
        RecordLog(path)
    assert path.read_bytes() == older


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    with RecordLog(tmp_path / "log"), pytest.raises(UsageError, match="one process at a time"):
        RecordLog(tmp_path / "log")
    assert kept(tmp_path / "log") == []


def test_a_full_disk_keeps_nothing_of_the_record_and_all_before_it(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from consilium.app.federated.record_log import RecordLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "log = RecordLog(Path(sys.argv[1])); log.append(b'kept')\n"
        "try:\n    log.append(b'x' * 8192)\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
        "log.append(b'after')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log")], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"{OutputProblem.__name__} a record must be kept in")
    assert "free the disk" in run.stdout
    assert kept(tmp_path / "log") == [b"kept", b"after"]


def test_whatever_was_told_is_there_after_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from consilium.app.federated.secret_store import FileSecretStore\n"
        "store = FileSecretStore(Path(sys.argv[1]))\n"
        "for i in range(10**6):\n"
        "    store.append(('s', 1, 0), b'%d' % i)\n"
        "    print(i, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(40)]
        os.kill(process.pid, signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().splitlines() if line]
    assert process.returncode == -signal.SIGKILL
    with FileSecretStore(tmp_path) as store:
        found = [int(record) for record in store.records(("s", 1, 0))]
    assert found[: len(told)] == told
    assert found == list(range(len(found)))
    assert len(found) <= len(told) + 1


def test_a_store_comes_back_by_attempt_and_shows_nothing_on_the_disk(tmp_path: Path) -> None:
    with FileSecretStore(tmp_path) as store:
        store.append(ATTEMPT, SECRET)
        store.append(("session", 3, 2), SECRET + b"2")
        store.append(("other", 9, 0), b"")
    with FileSecretStore(tmp_path) as again:
        assert again.records(ATTEMPT) == [SECRET]
        assert again.counter(("session", 3, 2)) == 1
        assert (again.latest("session"), again.latest("nothing")) == ((3, 2), None)
    assert all(SECRET not in path.read_bytes() for path in tmp_path.iterdir())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert SECRET.decode() not in repr(again)


def test_records_that_were_swapped_or_belong_to_another_key_are_refused(tmp_path: Path) -> None:
    for name in ("mine", "other"):
        with FileSecretStore(tmp_path / name) as store:
            store.append(ATTEMPT, SECRET)
            store.append(ATTEMPT, SECRET)
    records = tmp_path / "mine" / RECORDS_FILE
    raw = records.read_bytes()
    half = len(raw) // 2
    records.write_bytes(raw[half:] + raw[:half])
    with pytest.raises(ArtefactRefused, match="record 1 of"):
        FileSecretStore(tmp_path / "mine")
    records.write_bytes((tmp_path / "other" / RECORDS_FILE).read_bytes())
    with pytest.raises(ArtefactRefused, match=KEY_FILE):
        FileSecretStore(tmp_path / "mine")


def test_a_store_without_its_key_makes_no_new_one(tmp_path: Path) -> None:
    FileSecretStore(tmp_path).close()
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(ArtefactRefused, match="put it back"):
        FileSecretStore(tmp_path)
    assert not (tmp_path / KEY_FILE).exists()


def test_what_is_over_is_erased_and_never_begun_again(tmp_path: Path) -> None:
    with FileSecretStore(tmp_path) as store:
        for number, tried in ((1, 1), (2, 1), (2, 2), (3, 1)):
            store.append(("session", number, tried), SECRET + b"%d" % number)
        store.append(("other", 1, 1), SECRET)
        store.put("controls", b"first")
        store.put("controls", b"second")
        before = (tmp_path / RECORDS_FILE).read_bytes()
        sealed = list(store._log.records)
        store.end("session", 2)
        after = (tmp_path / RECORDS_FILE).read_bytes()
        assert len(after) < len(before)
        assert not any(record in after for record in sealed)
        assert store.latest("session") == (3, 1)
        store.end("session", 3)
        store.end("session", 2)
    with FileSecretStore(tmp_path) as again:
        assert [again.records(("session", number, 1)) for number in (1, 2, 3)] == [[], [], []]
        assert (again.ended("session"), again.ended("other")) == (3, 0)
        assert again.latest("session") == (3, ALL)
        assert again.records(("other", 1, 1)) == [SECRET]
        assert (again.get("controls"), again.get("nothing")) == (b"second", None)
        again.append(("session", 4, 1), b"next")
    with FileSecretStore(tmp_path) as last:
        assert last.records(("session", 4, 1)) == [b"next"]
        with pytest.raises(UsageError, match="one process at a time"):
            FileSecretStore(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [RECORDS_FILE, KEY_FILE]


def test_a_store_of_many_rounds_is_as_small_as_that_of_one(tmp_path: Path) -> None:
    sizes = []
    with FileSecretStore(tmp_path) as store:
        for number in range(1, 41):
            for tried in (1, 2):
                store.append(("session", number, tried), SECRET * 100)
            store.end("session", number)
            sizes.append((tmp_path / RECORDS_FILE).stat().st_size)
    assert len(set(sizes)) == 1
    assert sizes[0] < 200


def test_a_full_disk_erases_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk, FileSecretStore(disk) as store:
        for number in range(1, 41):
            store.append(("session", number, 1), SECRET * 100)
        filler = ballast(disk)
        with pytest.raises(OutputProblem, match="No space left"):
            store.end("session", 1)
        assert len(store.records(("session", 1, 1))) == 1
        filler.unlink()
        store.end("session", 40)
        store.append(("session", 41, 1), SECRET)
        assert store.records(("session", 1, 1)) == []
        assert store.latest("session") == (41, 1)
