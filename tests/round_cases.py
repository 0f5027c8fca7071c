"""A coordinator and participants as real processes over HTTPS."""

import base64
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from consilium.app.federated.key_files import make_key
from consilium.app.federated.session_folder import SessionFolder
from consilium.client import Client
from consilium.federated.local import LocalPlan, LocalRule
from consilium.federated.owners import Owner, OwnerList
from consilium.federated.sampling import seed_of
from consilium.federated.tasks.synthetic import Synthetic
from live_process import KEY, free_port


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


@dataclass
class Network:
    """One coordinator and its owners.

    Parameters
    ----------
    folder
        Of everything.
    owners
        How many.
    settings
        Of the environment of all processes.
    """

    folder: Path
    owners: int = 5
    port: int = field(default_factory=free_port)
    visible: bool = False
    """Whether owners agree that the coordinator sees their updates."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self.private = write_certificate(self.folder)
        self.admission = make_key(self.folder / "admission.key")
        self.keys = {name: make_key(self.folder / f"{name}.key") for name in self.names}
        self.admitted = OwnerList(
            owners=tuple(Owner(owner=name, key=key.public) for name, key in self.keys.items())
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"desk{number}" for number in range(1, self.owners + 1))

    @property
    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSILIUM_")}
        return kept | {
            "CONSILIUM_API_KEY": KEY,
            "CONSILIUM_API__TLS_CERTIFICATE": str(self.certificate),
            "CONSILIUM_API__TLS_KEY": str(self.private),
            "CONSILIUM_PORT": str(self.port),
            "CONSILIUM_LOG__LEVEL": "warning",
            **self.settings,
        }

    def client(self) -> Client:
        return Client(self.url, key=KEY, timeout_s=60.0, verify=str(self.certificate))

    def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as told:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "consilium", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=told,
                stderr=told,
            )

    def start_coordinator(self) -> None:
        self._start("coordinator", "serve", "--data-dir", str(self.folder / "data"))
        self.until(self._answers, "the coordinator answers")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/livez", verify=self.trusted, timeout=5.0).is_success
        except httpx.TransportError:
            return False

    def start_participant(self, name: str, session: str = "s1") -> None:
        self._start(
            name,
            *("federate", "participant", "--session", session, "--owner", name),
            *("--key", str(self.folder / f"{name}.key"), "--url", self.url, "--ca", str(self.certificate)),
            *("--admission-key", self.admission.public.hex(), "--store", str(self.folder / f"store-{name}")),
            *(("--visible",) if self.visible else ()),
        )

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        assert process.wait() == -signal.SIGKILL, f"{name} had ended: {self.log(name)}"

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2_000:]

    def create(self, session: str = "s1", **terms: Any) -> None:
        dimension = int(terms.pop("dimension", 1_000))
        self.visible = terms.get("mode") == "visible"
        body: Mapping[str, Any] = {
            "session": session,
            "task": "synthetic",
            "options": {"dimension": dimension},
            "delta": 0.2,
            "owners": self.admitted.signed(self.admission.private),
            "admission_key": self.admission.public.hex(),
            "parameters": base64.b64encode(np.zeros(dimension, dtype="<f8").tobytes()).decode(),
            **terms,
        }
        with self.client() as client:
            client.create_session(body)

    def joined(self, session: str = "s1") -> int:
        with self.client() as client:
            return client.session_about(session).joined

    def until(self, holds: Any, what: str, seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            for name, process in self.processes.items():
                if process.poll() not in (None, 0):
                    raise AssertionError(f"{name} ended by {process.returncode}: {self.log(name)}")
            assert time.monotonic() < end, f"not within {seconds} s: {what}"
            time.sleep(0.1)

    def until_state(self, state: str, session: str = "s1", seconds: float = 180.0) -> None:
        with self.client() as client:
            self.until(lambda: client.session_about(session).state == state, state, seconds)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


def expected(names: tuple[str, ...], dimension: int, rounds: int, clip: float = 1.0) -> NDArray[np.float64]:
    """The model after rounds in which all of these counted, but for the rounding."""
    task = Synthetic(names, dimension=dimension)
    parameters = task.initial()
    for number in range(1, rounds + 1):
        deltas = []
        for name in names:
            seed = seed_of(0, "s1", name, number)
            rule = LocalRule(base=parameters)
            moved = task.train(name, parameters, plan=LocalPlan(), rule=rule, seed=seed).parameters
            delta = moved - parameters
            deltas.append(delta * min(1.0, clip / float(np.linalg.norm(delta))))
        parameters = parameters + np.mean(deltas, axis=0)
    return parameters


def final(net: Network) -> NDArray[np.float64]:
    state, _ = SessionFolder(net.folder / "data" / "network" / "s1").load()
    return np.asarray(state["parameters"])


@contextmanager
def network(folder: Path, owners: int = 5, **environment: str) -> Iterator[Network]:
    """A coordinator that runs, and owners with keys; all processes end with the block."""
    made = Network(folder, owners, settings=environment)
    try:
        made.start_coordinator()
        yield made
    finally:
        made.close()
