"""Two ends that have agreed on their keys."""

from __future__ import annotations

from bittrrt import CommEncryptor


def agreed_pair(salt: bytes = b"", other_salt: bytes | None = None) -> tuple[CommEncryptor, CommEncryptor]:
    """Two fresh encryptors after the exchange; `other_salt` is the second end's, if it is not the same."""
    one, other = CommEncryptor(), CommEncryptor()
    one.derive_shared_secret(other.get_public_key(), salt=salt)
    other.derive_shared_secret(one.get_public_key(), salt=salt if other_salt is None else other_salt)
    return one, other
