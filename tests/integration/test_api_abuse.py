"""Clients that mean no good, or are only slow: the service bounds each of them and serves the others."""

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api_world import ADMIN, ADMIN_KEY, World
from command_line import consilium, fails_in_one_line
from consilium.app.api import intake, server
from consilium.app.settings import Api, Settings
from consilium.domain import UsageError
from small_system import HOUR, said


@pytest.fixture
def hasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A server that waits for half a second at most."""
    monkeypatch.setattr(intake, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(server, "BODY_SECONDS", -4.0)  # the server's own bound is five seconds above it
    with World(tmp_path, body_bytes=4_096, stuck_s=0.5) as made:
        yield made


def connected(world: World) -> socket.socket:
    return socket.create_connection(("127.0.0.1", world.port), timeout=10.0)


def rest(sock: socket.socket) -> bytes:
    """All that comes until the server hangs up; the test fails if it never does."""
    found = bytearray()
    try:
        while piece := sock.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass
    return bytes(found)


HEAD = (
    f"POST /api/ensemble/strategy HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\n"
    "Content-Type: application/json\r\n"
).encode()


def test_a_body_that_drips_is_refused_in_time(hasty: World) -> None:
    with connected(hasty) as sock:
        begun = time.monotonic()
        sock.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        answer = rest(sock)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer
    assert time.monotonic() - begun < 5.0


@pytest.mark.parametrize(("pause_s", "late"), [(0.1, False), (0.6, True)])
def test_a_long_body_has_the_time_that_its_size_takes_at_the_least_rate(
    hasty: World, monkeypatch: pytest.MonkeyPatch, pause_s: float, late: bool
) -> None:
    for module in (intake, server):
        monkeypatch.setattr(module, "LEAST_RATE", 2_000.0)
    piece, body = 400, b'{"strategy": "nothing"' + b" " * 3_977 + b"}"
    with connected(hasty) as sock:
        begun = time.monotonic()
        sock.sendall(HEAD + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
        try:
            for at in range(0, len(body), piece):
                time.sleep(pause_s)
                sock.sendall(body[at : at + piece])
        except OSError:
            assert late
        answer = rest(sock)
    assert answer.startswith(b"HTTP/1.1 408") is late, answer
    # ten pieces: longer than the half second that a body of no size has
    assert time.monotonic() - begun > (0.5 if late else 1.0)


def test_a_head_that_drips_is_refused_in_time(hasty: World) -> None:
    with connected(hasty) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        answer = rest(sock)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer


def test_a_connection_that_says_nothing_is_closed(hasty: World) -> None:
    with connected(hasty) as sock:
        assert rest(sock) == b""


def test_a_client_that_sends_on_after_its_refusal_is_cut_off(hasty: World) -> None:
    with connected(hasty) as sock:
        sock.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
        assert sock.recv(65_536).startswith(b"HTTP/1.1 413")
        assert cut_off_within(sock, 8.0)


def cut_off_within(sock: socket.socket, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            sock.sendall(b" ")
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_a_chunked_body_without_end_is_refused_at_its_bound(hasty: World) -> None:
    with connected(hasty) as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            sock.sendall(b"400\r\n" + b" " * 1_024 + b"\r\n")
        assert sock.recv(65_536).startswith(b"HTTP/1.1 413")


def test_headers_without_end_are_refused_at_their_bound(hasty: World) -> None:
    with connected(hasty) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        try:
            for number in range(200):
                sock.sendall(f"X-{number}: {'a' * 1_000}\r\n".encode())
                time.sleep(0.001)
        except OSError:
            pass
        answer = rest(sock)
    assert answer.startswith(b"HTTP/1.1 431") or answer == b""  # a reset may overtake the answer
    assert hasty.http.get("/livez").status_code == 200


@pytest.mark.parametrize(
    "said_first", [b"\x16\x03\x01\x02\x00", b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 64]
)
def test_what_is_no_http_is_refused_as_a_problem(hasty: World, said_first: bytes) -> None:
    with connected(hasty) as sock:
        sock.sendall(said_first)
        answer = rest(sock)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 408"))
    assert b"application/problem+json" in answer


def test_many_idle_and_dripping_clients_do_not_keep_others_from_being_served(hasty: World) -> None:
    crowd = [connected(hasty) for _ in range(150)]
    for sock in crowd[::2]:
        sock.sendall(b"GET /livez HTTP/1.1\r\n")
    begun = time.monotonic()
    assert hasty.http.get("/api/ensemble/status", headers=ADMIN).status_code == 200
    assert time.monotonic() - begun < 2.0
    for sock in crowd:
        sock.close()


def test_a_client_that_reads_nothing_is_cut_off_and_the_others_hear_all(hasty: World) -> None:
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    stuck.connect(("127.0.0.1", hasty.port))
    stuck.sendall(f"GET /api/events?after=0 HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\n\r\n".encode())
    for step in range(3_000):
        for model in ("cnn_lstm", "mpd_transformer", "tlob"):
            hasty.system.hear(said(model, step * HOUR, (0.1, 0.2, 0.7)))
    heard = 0
    with hasty.http.stream("GET", "/api/events?after=0", headers=ADMIN) as response:
        for line in response.iter_lines():
            heard += line.startswith("id: ") and line != "id: 0"
            if line == "id: 3000":
                break
    assert heard >= 3_000
    until = time.monotonic() + 10.0
    while 'why="stuck"' not in hasty.app.state.metrics.text().decode():
        assert time.monotonic() < until
        time.sleep(0.05)
    hasty.http.close()
    while hasty.server.server_state.connections:
        assert time.monotonic() < until  # cut off, and not waited for
        time.sleep(0.05)
    stuck.close()


def test_a_client_that_leaves_its_answers_unread_is_cut_off(
    hasty: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "WRITE_SECONDS", 0.5)
    for step in range(1_000):
        for model in ("cnn_lstm", "mpd_transformer", "tlob"):
            hasty.system.hear(said(model, step * HOUR, (0.1, 0.2, 0.7)))
    mute = socket.socket()
    mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    mute.connect(("127.0.0.1", hasty.port))
    asked = f"GET /api/events/history?limit=1000 HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\n\r\n"
    mute.sendall(asked.encode() * 20)
    until = time.monotonic() + 10.0
    gone = False
    while not gone and time.monotonic() < until:
        time.sleep(0.1)
        gone = not hasty.server.server_state.connections
    mute.close()
    assert gone


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = consilium("serve", "--port", str(port), "--data-dir", str(tmp_path / "d"), cwd=tmp_path)
        told = fails_in_one_line(done, 1)
    assert f"127.0.0.1:{port}" in told
    assert "CONSILIUM_PORT" in told


def test_tls_takes_both_files_and_files_that_are_there(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        for api in (
            Api(tls_certificate=tmp_path / "c.pem"),
            Api(tls_certificate=tmp_path / "c.pem", tls_key=tmp_path / "k.pem"),
        ):
            with pytest.raises(UsageError, match="TLS"):
                server.ApiServer(world.app, Settings(api=api, data_dir=tmp_path))


def test_over_tls_the_answers_ask_for_https_only(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with World(tmp_path, tls_certificate=certificate, tls_key=key) as world:
        trusted = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(verify=trusted, trust_env=False) as http:
            found = http.get(f"https://127.0.0.1:{world.port}/livez")
        assert found.status_code == 200
        assert "max-age" in found.headers["strict-transport-security"]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 for one day."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "c.pem", folder / "k.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, secret
