"""The real service in a process of its own, as `consilium serve` starts it; it dies with the test."""

import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from command_line import environment

ADMIN_KEY = "an-admin-key-of-some-length"
ADMIN = {"X-API-Key": ADMIN_KEY}

# Linux sends the child this signal when its parent dies, however that comes about.
_WITH_PARENT = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); "
    "os.getppid() == int(sys.argv[1]) or os._exit(1); sys.argv[1:] = sys.argv[2:]; "
    "from consilium.app.cli import main; main()"
)


@contextmanager
def served(folder: Path, *arguments: str, **settings: str) -> Iterator[httpx.Client]:
    """Start the service on a free port and wait until it is ready; yield a client of it.

    Parameters
    ----------
    folder
        Its data folder.
    arguments
        Of ``consilium serve``.
    settings
        Environment variables, without CONSILIUM_; the client trusts the certificate that they name.
    """
    given = {f"CONSILIUM_{name}": value for name, value in settings.items()}
    given.setdefault("CONSILIUM_API_KEY", ADMIN_KEY)
    log = folder / "serve.log"
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", _WITH_PARENT, str(os.getpid())),
                *("serve", "--data-dir", str(folder), "--port", "0", *arguments),
            ],
            stderr=out,
            stdout=out,
            env=environment(**given),
        )
    try:
        url = _listening(process, log)
        with httpx.Client(base_url=url, timeout=30.0, trust_env=False, verify=_trust(settings)) as client:
            _wait_until_ready(client, log)
            yield client
    finally:
        process.terminate()
        try:
            process.wait(30.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _trust(settings: Mapping[str, str]) -> ssl.SSLContext | bool:
    certificate = settings.get("API__TLS_CERTIFICATE")
    return ssl.create_default_context(cafile=certificate) if certificate else True


def _listening(process: "subprocess.Popen[bytes]", log: Path) -> str:
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        found = re.search(r"listening on (http\S+)", log.read_text())
        if found:
            return found.group(1)
        assert process.poll() is None, log.read_text()[-2000:]
        time.sleep(0.05)
    raise AssertionError(log.read_text()[-2000:])


def _wait_until_ready(client: httpx.Client, log: Path) -> None:
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        if client.get("/readyz").status_code == 200:
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text()[-2000:])
