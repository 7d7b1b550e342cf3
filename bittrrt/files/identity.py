"""Who this end is: an Ed25519 key that is made once and kept, and the certificate by which TLS shows it.

Only the key counts. The certificate is made anew, the same bytes each time, whenever a program starts; others know this
end by the fingerprint of its key, so nothing checks the certificate's name and dates.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from ..errors import SettingsError
from ..wire.fingerprint import fingerprint_of
from .home import Home

FILE_NAME: Final = "identity.pem"  # PKCS #8 in PEM (RFC 5958, RFC 7468), not encrypted
KEY_SIZE: Final = 32

_NOT_BEFORE: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_AFTER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280, 4.1.2.5: "no well-defined expiration"


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """This end's key and what is made of it."""

    private_key: Ed25519PrivateKey = field(repr=False)
    """Secret: only TLS needs it."""
    fingerprint: str
    """Of the public key, `SHA256:...`: the name by which others pin this end."""
    certificate: x509.Certificate = field(repr=False)
    """Self-signed, for TLS."""


def load_identity(home: Home) -> Identity | None:
    """The identity in the home directory, or None if it has none yet.

    Raises `SettingsError` for a file that cannot be used, or that others than its owner can read.
    """
    pem = home.read_secret(FILE_NAME)
    if pem is None:
        return None
    try:
        private_key = load_pem_private_key(pem.encode("utf-8", "surrogateescape"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        private_key = None
    if not isinstance(private_key, Ed25519PrivateKey):
        raise SettingsError(
            f"{home.path / FILE_NAME} holds no Ed25519 key in plain PKCS #8 PEM: put its backup there, or move the "
            "file away for a new identity, with which every other end has to be joined anew"
        )
    return _identity_of(private_key)


def load_or_create_identity(home: Home, random_bytes: Callable[[int], bytes] = os.urandom) -> tuple[Identity, bool]:
    """The identity in the home directory, made now if there was none; and whether it was made now.

    Two programs that start at the same moment get the same one. Raises `SettingsError` as `load_identity` does, and if
    it cannot be written.
    """
    identity = load_identity(home)  # without the lock first: a home that can only be read will do
    if identity is not None:
        return identity, False
    with home.locked():
        identity = load_identity(home)
        if identity is not None:
            return identity, False
        private_key = Ed25519PrivateKey.from_private_bytes(random_bytes(KEY_SIZE))
        pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        home.write(FILE_NAME, pem.decode("ascii"))
    return _identity_of(private_key), True


def passing_identity(random_bytes: Callable[[int], bytes] = os.urandom) -> Identity:
    """An identity that nobody knows and that is kept nowhere: for looking at a server before joining it."""
    return _identity_of(Ed25519PrivateKey.from_private_bytes(random_bytes(KEY_SIZE)))


def _identity_of(private_key: Ed25519PrivateKey) -> Identity:
    public_key = private_key.public_key()
    spki_der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bittrrt")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .sign(private_key, algorithm=None)  # Ed25519 hashes by itself
    )
    return Identity(private_key, fingerprint_of(spki_der), certificate)
