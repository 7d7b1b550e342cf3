"""TLS for the rendezvous: TLS 1.3 only, self-signed Ed25519 certificates at both ends, trust by pinned key.

OpenSSL checks that each end holds the key of its certificate; whose key that is, is checked afterwards, against what
was pinned, in `handshakeCompleted`. Certificates carry nothing else that anybody looks at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import InvalidVersion
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from zope.interface import implementer

from ..errors import NotBittrRt
from ..files.identity import Identity
from ..wire.fingerprint import fingerprint_of
from ..wire.messages import ALPN

EXPORTER_LABEL: Final = b"EXPORTER-bittrrt-udp"
EXPORTER_SIZE: Final = 32


@implementer(IOpenSSLServerConnectionCreator, IOpenSSLClientConnectionCreator)
class ConnectionCreator:
    """Makes TLS connections, of either end, that show `identity`."""

    def __init__(self, identity: Identity) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_TICKET)
        context.use_privatekey(identity.private_key)
        context.use_certificate(identity.certificate)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _let_self_signed_through)
        context.set_alpn_protos([ALPN])
        context.set_alpn_select_callback(_select_protocol)
        self._context = context

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """See `IOpenSSLServerConnectionCreator`."""
        return SSL.Connection(self._context, None)

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """See `IOpenSSLClientConnectionCreator`."""
        return SSL.Connection(self._context, None)


def _let_self_signed_through(
    _connection: SSL.Connection, _certificate: Any, _error: int, depth: int, _verified: int
) -> bool:
    """A chain of one: anything that brings an authority along is not one of ours."""
    return depth == 0


def _select_protocol(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    return ALPN if ALPN in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def peer_fingerprint(connection: SSL.Connection) -> str:
    """The fingerprint of the key that the other end has proved to hold. Raises `NotBittrRt` for another kind of key."""
    if connection.get_alpn_proto_negotiated() != ALPN:
        raise NotBittrRt("it does not speak this version of BittrRt's protocol")
    try:
        certificate = connection.get_peer_certificate(as_cryptography=True)
        key = certificate.public_key() if certificate is not None else None
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion):  # OpenSSL reads what cryptography does not
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise NotBittrRt("its key is not of the kind that BittrRt uses")
    return fingerprint_of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@dataclass(frozen=True, slots=True)
class TlsTerms:
    """What the two ends of a TLS session agreed on."""

    version: str
    """`TLSv1.3`."""
    protocol: str
    """What is spoken inside: ALPN, RFC 7301."""
    group: str | None
    """How the keys were agreed on, `X25519MLKEM768` for one; None if the library is too old to tell."""


def terms_of(connection: SSL.Connection) -> TlsTerms:
    """The terms of a TLS session whose handshake is over."""
    group = connection.get_group_name() if hasattr(connection, "get_group_name") else None
    protocol = connection.get_alpn_proto_negotiated().decode("ascii", "backslashreplace")
    return TlsTerms(connection.get_protocol_version_name(), protocol, group)


def exporter(connection: SSL.Connection) -> bytes:
    """32 bytes that only the two ends of this TLS session know, RFC 5705: what binds the link to it."""
    return connection.export_keying_material(EXPORTER_LABEL, EXPORTER_SIZE)
