"""The participant's side of HTTPS: where it sends its key, and how little it believes of what comes back."""

import gzip
import io
import json
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.app.carriers.answers import MIB, arrays_of
from consilium.app.carriers.https import HttpsCarrier, NotLetIn
from consilium.app.tls import trusting
from consilium.domain import ConsiliumError, DataProblem, InvalidValue, UsageError
from round_cases import write_certificate


class Hostile(BaseHTTPRequestHandler):
    """Answers what a test puts there."""

    status, body, head = 200, b"", dict[str, str]()
    endless = False

    def do_GET(self) -> None:
        cls = type(self)
        self.send_response(cls.status)
        for name, value in cls.head.items():
            self.send_header(name, value)
        if not cls.endless:
            self.send_header("Content-Length", str(len(cls.body)))
        self.end_headers()
        try:
            self.wfile.write(cls.body)
            while cls.endless:
                self.wfile.write(b" " * 65_536)
        except OSError:
            return

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
        del format, args


@contextmanager
def hostile(
    body: bytes = b"", *, status: int = 200, endless: bool = False, **head: str
) -> Iterator[HttpsCarrier]:
    class Chosen(Hostile):
        pass

    Chosen.status, Chosen.body, Chosen.endless = status, body, endless
    Chosen.head = {name.replace("_", "-"): value for name, value in head.items()}
    with ThreadingHTTPServer(("127.0.0.1", 0), Chosen) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        carrier = HttpsCarrier(f"http://127.0.0.1:{server.server_port}", "s1", key="k", patience_s=0.1)
        try:
            yield carrier
        finally:
            carrier.close()
            server.shutdown()


@pytest.mark.parametrize(
    "url",
    [
        "http://desk.example:8001",
        "http://10.0.0.1",
        "http://127.0.0.1.example",
        "http://localhost@desk.example",
        "HTTP://desk.example",
    ],
)
def test_the_key_is_not_sent_in_the_clear_to_another_machine(url: str) -> None:
    with pytest.raises(UsageError, match=r"the API key travels in the clear; got http://.*: give https://"):
        HttpsCarrier(url, "s1", key="secret")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://x.example"]
)
def test_this_machine_and_https_are_good_addresses(url: str) -> None:
    HttpsCarrier(url, "s1", key="secret").close()


@pytest.mark.parametrize("url", ["ftp://x", "desk.example", "https://", "http://[::1", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="must begin with https:// and a host"):
        HttpsCarrier(url, "s1")


def test_certificates_to_trust_that_are_no_pem_or_not_there_are_named(tmp_path: Path) -> None:
    certificate, private = write_certificate(tmp_path)
    junk = tmp_path / "junk.crt"
    junk.write_bytes(b"\x30\x82junk")
    for path in (junk, private):
        with pytest.raises(UsageError, match=f"must be in PEM; got {path}"):
            HttpsCarrier("https://x.example", "s1", ca=path)
    with pytest.raises(UsageError, match=r"must be a file of certificates; got .*gone"):
        HttpsCarrier("https://x.example", "s1", ca=tmp_path / "gone.crt")
    with pytest.raises(UsageError, match=r"must be readable; got .*gone.crt: No such file"):
        trusting(str(tmp_path / "gone.crt"))
    HttpsCarrier("https://x.example", "s1", ca=certificate).close()


def test_an_answer_without_end_is_read_no_further_than_its_bound() -> None:
    with hostile(b"{", endless=True) as carrier:
        tracemalloc.start()
        try:
            with pytest.raises(DataProblem, match=f"at most {MIB} bytes; got more"):
                carrier.about()
            assert tracemalloc.get_traced_memory()[1] < 6 * MIB
        finally:
            tracemalloc.stop()


def test_an_answer_that_says_it_is_too_long_is_not_read() -> None:
    with hostile(b"x" * (2 * MIB)) as carrier, pytest.raises(DataProblem, match="must have at most"):
        carrier.outbox("desk1")


def test_a_packed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * (64 * MIB))
    with (
        hostile(bomb, Content_Encoding="gzip") as carrier,
        pytest.raises(DataProblem, match="as it is; got gzip"),
    ):
        carrier.about()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"state": "running", "done": "1", "round": null}',
        b'{"state": "running", "done": 1, "round": {"number": 1}}',
        b'{"state": "running", "done": 1, "round": []}',
        b"\xff\xfe",
    ],
)
def test_what_is_not_how_a_round_is_told_is_refused_in_one_line(body: bytes) -> None:
    with hostile(body) as carrier, pytest.raises(DataProblem) as refused:
        carrier.round()
    assert "\n" not in str(refused.value)


def test_members_that_are_not_told_whole_are_refused() -> None:
    on = {
        "number": 1, "attempt": 1, "members": [{"owner": "desk1"}], "eligible": [], "clip": 1.0,
        "dimension": 3, "ts_opened": 0, "ts_cut_off": 1,
    }  # fmt: skip
    told = {"state": "running", "done": 0, "round": on}
    with (
        hostile(json.dumps(told).encode()) as carrier,
        pytest.raises(DataProblem, match="a member must tell its"),
    ):
        carrier.round()
    told["round"] = on | {"members": [], "clip": float("nan")}
    with (
        hostile(json.dumps(told).encode()) as carrier,
        pytest.raises(DataProblem, match="must tell its clip"),
    ):
        carrier.round()


def npz(**arrays: Any) -> bytes:
    held = io.BytesIO()
    np.savez(held, **arrays)
    return held.getvalue()


def test_a_model_is_flat_doubles_and_as_long_as_it_says() -> None:
    found = arrays_of(npz(parameters=np.arange(3.0), **{"optimizer/control": np.ones(3)}))
    assert {name: values.tolist() for name, values in found.items()} == {
        "parameters": [0.0, 1.0, 2.0],
        "optimizer/control": [1.0, 1.0, 1.0],
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, parameters=np.zeros(10_000_000))
    lies = npz(parameters=np.zeros(3)).replace(b"(3,)", b"(9,)")
    for content in (
        packed.getvalue(),
        lies,
        npz(parameters=np.zeros((2, 2))),
        npz(parameters=np.zeros(3, dtype=np.float32)),
        npz(parameters=np.array(["text"])),
        npz(**{f"a{number}": np.zeros(1) for number in range(9)}),
        npz(parameters=np.zeros(3))[:-30],
        b"no zip",
    ):
        with pytest.raises(DataProblem, match="must be an npz file of doubles"):
            arrays_of(content)


@pytest.mark.parametrize("change", ["", "-1", "1e3", "9" * 30, "x"])
def test_an_outbox_without_a_number_is_refused(change: str) -> None:
    with hostile(b"", X_Change=change) as carrier, pytest.raises(DataProblem, match="must tell its number"):
        carrier.outbox("desk1")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, UsageError, 2),
        (403, NotLetIn, 1),
        (404, UsageError, 2),
        (409, InvalidValue, 1),
        (302, InvalidValue, 1),
    ],
)
def test_refusals_end_in_one_line_and_a_code(status: int, kind: type[ConsiliumError], code: int) -> None:
    body = json.dumps({"detail": "words\nof \x1b[31mthe coordinator"}).encode()
    made = hostile(body, status=status, Location="http://elsewhere.example/")
    with made as carrier, pytest.raises(kind) as refused:
        carrier.register({})
    assert refused.value.exit_code == code
    assert str(refused.value).isprintable()


def test_a_refusal_is_told_whatever_the_coordinator_answers_with() -> None:
    with hostile(b"\xff" * 100, status=403) as carrier, pytest.raises(NotLetIn, match="HTTP 403"):
        carrier.register({})
