"""The link by which a server's owner lets a client in once, and the proof that the client holds it.

    bittrrt://HOST:PORT/#<fingerprint>.<token>

    HOST         a name, an IPv4 address, or an IPv6 address in brackets; `:PORT` may be left out if it is 6711
    fingerprint  43 characters   unpadded base64url of SHA-256( the server's SubjectPublicKeyInfo, DER )
    token        22 characters   unpadded base64url of 16 random bytes

The token never travels and the server does not keep it. Both ends make an Ed25519 key of it; the server keeps the
public half (the verifier), the client signs with the private half:

    seed[32]  = HKDF-SHA256( token, no salt, info "bittrrt invite" )
    proof[64] = Ed25519( seed,  label | TLS exporter | server's fingerprint | client's fingerprint )
                                each with its length before it, u32 big-endian

So a stolen file of invites lets nobody in, and a proof is good for one TLS session between two keys: a machine in the
middle can pass it on to nobody.
"""

from __future__ import annotations

import base64
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import InviteRejected, SettingsError
from ..settings import DEFAULT_PORT
from .endpoint import parse_host_port, show_host_port
from .fingerprint import DIGEST_SIZE, digest_in, fingerprint_from_digest

TOKEN_SIZE: Final = 16  # 128 bits: not to be guessed, and short enough to be pasted from a chat
VERIFIER_SIZE: Final = 32
PROOF_SIZE: Final = 64
MAX_LINK: Final = 512  # characters; the longest host name makes one of 337

_SCHEME: Final = "bittrrt://"
_SEED_INFO: Final = b"bittrrt invite"
_PROOF_LABEL: Final = b"bittrrt invite proof 1"
_SECRETS: Final = re.compile(r"([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22})")


@dataclass(frozen=True, slots=True)
class InviteLink:
    """What a link says. `str` gives the link itself, which lets its bearer in; `repr` keeps the token to itself."""

    host: str
    """Name or address of the server, an IPv6 address without brackets."""
    port: int
    """TCP port of its rendezvous."""
    fingerprint: str
    """Of the server's key: `SHA256:...`."""
    token: bytes = field(repr=False)
    """16 bytes, secret."""

    def __str__(self) -> str:
        where = show_host_port(self.host, self.port)
        return f"{_SCHEME}{where}/#{_encode(digest_in(self.fingerprint))}.{_encode(self.token)}"


def parse_invite_link(text: str) -> InviteLink:
    """What the link says; white space around it is left away. Raises `InviteRejected`, and nothing else, for any other.

    The error never repeats the text: a link that is nearly right holds a token that is nearly secret.
    """
    text = text.strip()
    if len(text) > MAX_LINK:
        raise _no_link("it is too long")
    if not text.startswith(_SCHEME):
        raise _no_link(f"it does not begin with {_SCHEME}")
    where, hash_sign, secrets = text.removeprefix(_SCHEME).partition("/#")
    if not hash_sign:
        raise _no_link("it has no part that begins with /#")
    try:
        host, port = parse_host_port(where)
    except SettingsError:
        raise _no_link("it names no HOST:PORT") from None
    match = _SECRETS.fullmatch(secrets)
    digest = _decode(match[1], DIGEST_SIZE) if match else None
    token = _decode(match[2], TOKEN_SIZE) if match else None
    if digest is None or token is None:
        raise _no_link("the part after # is cut short or was changed")
    return InviteLink(host, DEFAULT_PORT if port is None else port, fingerprint_from_digest(digest), token)


def _no_link(reason: str) -> InviteRejected:
    return InviteRejected(f"this is no BittrRt link: {reason}; copy the whole line that `bittrrt invite` printed")


# --- the proof -------------------------------------------------------------------------------------------------------


def new_token(random_bytes: Callable[[int], bytes] = os.urandom) -> bytes:
    """A token that nobody had before, 16 bytes. `random_bytes` gives as many as it is asked for."""
    return random_bytes(TOKEN_SIZE)


def verifier_of(token: bytes) -> str:
    """What the server keeps in the token's place: 43 characters, the raw Ed25519 public key in unpadded base64url."""
    return _encode(_signing_key(token).public_key().public_bytes_raw())


def prove(token: bytes, exporter: bytes, server_fingerprint: str, client_fingerprint: str) -> bytes:
    """The client's proof, 64 bytes, that it holds `token`, for this TLS session and these two keys only."""
    return _signing_key(token).sign(_statement(exporter, server_fingerprint, client_fingerprint))


def proof_holds(verifier: str, proof: bytes, exporter: bytes, server_fingerprint: str, client_fingerprint: str) -> bool:
    """Whether the proof was made with the verifier's token. `verifier` and `proof` may be anything: False, no error."""
    public_bytes = _decode(verifier, VERIFIER_SIZE)
    if public_bytes is None or len(proof) != PROOF_SIZE:
        return False
    try:
        public_key = Ed25519PublicKey.from_public_bytes(public_bytes)
        public_key.verify(proof, _statement(exporter, server_fingerprint, client_fingerprint))
    except (InvalidSignature, ValueError):
        return False
    return True


def _signing_key(token: bytes) -> Ed25519PrivateKey:
    if len(token) != TOKEN_SIZE:
        raise ValueError(f"a token has {TOKEN_SIZE} bytes, not {len(token)}")
    seed = HKDF(SHA256(), length=32, salt=None, info=_SEED_INFO).derive(token)
    return Ed25519PrivateKey.from_private_bytes(seed)


def _statement(exporter: bytes, server_fingerprint: str, client_fingerprint: str) -> bytes:
    parts = (_PROOF_LABEL, exporter, server_fingerprint.encode(), client_fingerprint.encode())
    return b"".join([struct.pack(">I", len(part)) + part for part in parts])


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str, size: int) -> bytes | None:
    """The `size` bytes whose unpadded base64url this is, spelled in the one way there is; otherwise None."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return data if len(data) == size and _encode(data) == text else None
