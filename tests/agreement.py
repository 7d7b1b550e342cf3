"""Two ends that have agreed on their keys."""

from __future__ import annotations

from bittrrt import CommEncryptor
from bittrrt.wire.messages import CipherName


def agreed_pair(
    salt: bytes = b"", other_salt: bytes | None = None, *,
    cipher: CipherName = "chacha20-poly1305", other_cipher: CipherName | None = None,
) -> tuple[CommEncryptor, CommEncryptor]:  # fmt: skip
    """Two fresh encryptors after the exchange; `other_salt`, `other_cipher`: the second end's, if not the same."""
    one, other = CommEncryptor(), CommEncryptor()
    one.derive_shared_secret(other.get_public_key(), salt=salt, cipher=cipher)
    other.derive_shared_secret(
        one.get_public_key(), salt=salt if other_salt is None else other_salt, cipher=other_cipher or cipher
    )
    return one, other
