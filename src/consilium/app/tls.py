"""How the API speaks TLS, and whom a client trusts."""

import ssl
from pathlib import Path

from consilium.domain import UsageError


def make_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a server needs to speak TLS 1.2 or newer.

    Raises
    ------
    UsageError
        A file that cannot be read, is not PEM, needs a password, or does not belong to the other.
    """
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise UsageError(
                "TLS files must be readable", f"{path}: {error.strerror}", "correct path or permissions"
            ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        told = getattr(error, "reason", None) or str(error)
        raise UsageError(
            "TLS takes a certificate and its own key, in PEM and without a password",
            f"{certificate} and {key} ({told})",
            "correct api.tls_certificate and api.tls_key",
        ) from None
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")


def require_authorities(path: Path) -> int:
    """Return how many certificates a file of those to trust has.

    Raises
    ------
    UsageError
        It cannot be read, or is no PEM file with a certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        why = error.reason or "no certificate in it"
    except OSError as error:
        why = error.strerror or str(error)
    else:
        return context.cert_store_stats()["x509"]
    raise UsageError(
        "api.tls_ca must be a file of PEM certificates", f"{path} ({why})", "correct path or permissions"
    )


def trusting(verify: bool | str) -> bool | ssl.SSLContext:
    """Return what httpx asks for: a context where a file of authorities is named.

    Raises
    ------
    UsageError
        A file that cannot be read, or has no certificate in PEM.
    """
    if not isinstance(verify, str):
        return verify
    try:
        return ssl.create_default_context(cafile=verify)
    except ssl.SSLError:
        raise UsageError(
            "certificates to trust must be in PEM", verify, "convert the file, or give the authority's own"
        ) from None
    except OSError as error:
        raise UsageError(
            "certificates to trust must be readable",
            f"{verify}: {error.strerror or error}",
            "correct path or permissions",
        ) from None
