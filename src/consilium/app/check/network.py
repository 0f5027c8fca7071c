"""What the API listens on: address, port, certificate."""

import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from consilium.app.check.finding import Finding
from consilium.app.settings import Settings
from consilium.app.tls import make_tls, require_authorities
from consilium.domain import UsageError

_CURE = "stop who holds it, or set CONSILIUM_HOST and CONSILIUM_PORT"


def check_address(settings: Settings) -> Iterator[Finding]:
    """Look whether the port can be had, and whether the address is open without TLS."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            why = error.strerror or str(error)
            yield Finding("port", "failed", f"must be free; got {host}:{port} ({why}): {_CURE}")
        else:
            yield Finding("port", "ok", f"{host}:{port}" if port else f"{host}, any free port")
    if not _is_loopback(host) and settings.api.tls_certificate is None:
        told = f"{host} is open to others without TLS: keys can be read on the way; see docs/operations.md"
        yield Finding("host", "warning", told)


def check_tls(settings: Settings) -> Iterator[Finding]:
    """Look whether certificate and key are there, belong together and are in date."""
    certificate, key = settings.api.tls_certificate, settings.api.tls_key
    if certificate is None and key is None:
        yield Finding("api.tls", "ok", "none: plain HTTP")
        return
    if certificate is None or key is None:
        missing = "api.tls_certificate" if certificate is None else "api.tls_key"
        yield Finding(
            missing, "wrong", "TLS takes a certificate and its key; got one of both: give both or neither"
        )
        return
    try:
        context = make_tls(certificate, key)
    except UsageError as error:
        yield Finding("api.tls", "failed", str(error))
        return
    trouble = _trouble(context, certificate)
    if trouble:
        told = f"clients may refuse {certificate}: {trouble}"
        yield Finding("api.tls_certificate", "warning", told)
    else:
        yield Finding("api.tls", "ok", f"{certificate}, TLS 1.2 or newer")
    if key.stat().st_mode & 0o077:
        yield Finding("api.tls_key", "warning", f"others may read {key}: chmod 600")


def check_authorities(settings: Settings) -> Iterator[Finding]:
    """Look whether the file of authorities that our own commands trust, if one is named, has any."""
    path = settings.api.tls_ca
    if path is None:
        return
    try:
        found = require_authorities(path)
    except UsageError as error:
        yield Finding("api.tls_ca", "failed", str(error))
        return
    told = f"{path}, certificates that our own commands trust: {found}"
    if settings.api.tls_certificate is None:
        yield Finding("api.tls_ca", "ok", f"{told}; this service speaks plain HTTP")
    else:
        yield Finding("api.tls_ca", "ok", told)


def _trouble(server: ssl.SSLContext, certificate: Path) -> str:
    """Return what a client that trusts this very certificate says about it: expired, not yet valid."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(4):
            for side in (ours, theirs):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError as error:
        return error.reason or str(error)
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
