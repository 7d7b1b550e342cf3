"""A key's fingerprint, as ssh-keygen prints it: what people compare, and what the files in the home directory hold.

SHA256:<43 characters>      unpadded standard base64 of SHA-256( SubjectPublicKeyInfo, DER )
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from ..errors import SettingsError

PREFIX: Final = "SHA256:"
DIGEST_SIZE: Final = 32


def fingerprint_of(spki_der: bytes) -> str:
    """The fingerprint of a public key, given as its SubjectPublicKeyInfo (RFC 5280, section 4.1) in DER."""
    return fingerprint_from_digest(hashlib.sha256(spki_der).digest())


def fingerprint_from_digest(digest: bytes) -> str:
    """The text of a fingerprint whose 32 bytes these are."""
    return PREFIX + base64.b64encode(digest).rstrip(b"=").decode("ascii")


def digest_in(fingerprint: str) -> bytes:
    """The 32 bytes in a fingerprint. Raises `SettingsError` for a text that is none."""
    encoded = fingerprint.removeprefix(PREFIX)
    try:
        digest = base64.b64decode(encoded + "=", validate=True)
    except ValueError:
        digest = b""
    # One fingerprint has one text: what decodes to the same bytes but is spelled otherwise is not taken.
    if len(digest) != DIGEST_SIZE or fingerprint != fingerprint_from_digest(digest):
        raise SettingsError(f"{fingerprint[:80]!r} is no fingerprint: one is {PREFIX} and 43 characters of base64")
    return digest


def parse_fingerprint(text: str) -> str:
    """`text` without the white space and the base64 padding around it. Raises `SettingsError` if it is none."""
    fingerprint = text.strip().removesuffix("=")
    digest_in(fingerprint)
    return fingerprint
