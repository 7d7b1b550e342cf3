"""The keys of one session: agreement, sealing, opening, and moving on to the next key.

    own X25519 key + peer's  --HKDF-->  chain, one a direction  --HKDF-->  key of epoch 0
                                          |
                                          +--HKDF--> next chain  --HKDF-->  key of epoch 1 ...

Which of the two chains is for sending needs no argument: the end with the lower public key sends with the first. A
chain that was moved on from is forgotten, so keys of past epochs cannot be computed again (a symmetric ratchet).
"""

from __future__ import annotations

from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from ..errors import DatagramTooShort, EpochNotAccepted, KeyAgreementError, KeyExhausted, NotAuthentic
from ..wire.datagram import (
    EPOCH_SIZE,
    MAX_EPOCH,
    NONCE_SIZE,
    OVERHEAD,
    Opened,
    pack_header,
    pack_numbers,
    unpack,
)
from ..wire.messages import CipherName
from .cipher import Aead, new_aead
from .full_burst import FullBurst, full_burst

KEY_SIZE: Final = 32
LINK_ID_SIZE: Final = 16
EPOCH_LIFETIME: Final = 120.0  # seconds, as WireGuard's REKEY_AFTER_TIME
EPOCH_DATAGRAMS: Final = 2**22  # 100 s at 500 Mbit/s; AES-GCM bears 2^23 of 64 KB (RFC 9001 appendix B.1)
MAX_EPOCH_DATAGRAMS: Final = 2 * EPOCH_DATAGRAMS  # whatever the peer has answered
EPOCH_GRACE: Final = 10.0  # seconds that the last key still opens what was reordered around the change

_AGREEMENT_INFO: Final[dict[CipherName, bytes]] = {  # a name each, so that no key is ever one of both
    "aes-256-gcm": b"bittrrt/1 datagrams aes-256-gcm",
    "chacha20-poly1305": b"bittrrt/1 datagrams",
}
_RATCHET_INFO: Final = b"bittrrt/1 next epoch"

_full: Final = FullBurst()  # of the process


class _KeyChain:
    """The keys of one direction, epoch by epoch. Holds only what later epochs need."""

    __slots__ = ("_chain", "_cipher", "next_epoch")

    def __init__(self, chain: bytes, cipher: CipherName) -> None:
        self._chain = chain
        self._cipher: CipherName = cipher
        self.next_epoch = 0

    def next_key(self) -> tuple[bytes, Aead]:
        """The next epoch, as it stands in the nonce, and its key."""
        if self.next_epoch > MAX_EPOCH:
            raise KeyExhausted("every epoch was used")
        epoch = self.next_epoch.to_bytes(EPOCH_SIZE, "big")
        material = HKDFExpand(hashes.SHA256(), 2 * KEY_SIZE, _RATCHET_INFO).derive(self._chain)
        self._chain = material[:KEY_SIZE]
        self.next_epoch += 1
        return epoch, new_aead(self._cipher, material[KEY_SIZE:])


class CommEncryptor:
    """Seals and opens the datagrams of one session, with a fresh X25519 key.

    Swap `get_public_key()` with the peer over an authentic channel, then `derive_shared_secret()` at both ends. The
    counter in the nonce belongs to this object and never repeats; so that it cannot be made to, an encryptor can be
    neither copied nor pickled. Opening remembers nothing of what it opened: watching for replays is `ReplayFilter`'s.
    """

    __slots__ = (
        "_counter",
        "_epoch_began",
        "_epoch_counter",
        "_last_epoch",
        "_last_epoch_until",
        "_next_epoch",
        "_private_key",
        "_public_key",
        "_receive_chain",
        "_receive_keys",
        "_send_chain",
        "_send_epoch",
        "_send_key",
        "link_id",
    )

    def __init__(self) -> None:
        self._private_key: X25519PrivateKey | None = X25519PrivateKey.generate()
        self._public_key = self._private_key.public_key().public_bytes_raw()
        self.link_id = b""
        """16 bytes that name the session, the same at both ends, and no secret."""
        self._counter = 0  # of datagrams sealed, over all epochs
        self._epoch_counter = 0  # its value when the epoch began
        self._epoch_began: float | None = None
        self._send_epoch = b""
        self._send_key: Aead | None = None
        self._receive_keys: dict[bytes, Aead] = {}  # the current epoch's, the next one's, in grace the last
        self._next_epoch = b""
        self._last_epoch = b""
        self._last_epoch_until: float | None = None

    def __repr__(self) -> str:
        return f"<CommEncryptor of link {self.link_id.hex() or 'not agreed'}, epoch {self.send_epoch}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a CommEncryptor can be neither copied nor pickled: a nonce would be used twice")

    @property
    def send_epoch(self) -> int:
        """The epoch that sealing uses."""
        return int.from_bytes(self._send_epoch, "big")

    def get_public_key(self) -> bytes:
        """The raw X25519 public key, 32 bytes."""
        return self._public_key

    def derive_shared_secret(
        self, peer_public_key: bytes, *, salt: bytes = b"", cipher: CipherName = "chacha20-poly1305"
    ) -> None:
        """Agree on the session's keys with the end whose public key this is.

        `salt` binds the keys to the channel that carried the public keys, as the rendezvous does with the TLS exporter;
        both ends give the same, and the same `cipher`. Raises `KeyAgreementError` for a key that is not 32 bytes, is
        this end's own, or leads to the all-zero secret (RFC 7748 section 6.1), and when called a second time.
        """
        if self._private_key is None:
            raise KeyAgreementError("the keys were agreed on already")
        peer = bytes(peer_public_key)
        if peer == self._public_key:
            raise KeyAgreementError("the peer's public key is this end's own")
        try:
            secret = self._private_key.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            raise KeyAgreementError("the peer's public key is no usable X25519 key") from None
        first, second = sorted((self._public_key, peer))
        info = _AGREEMENT_INFO[cipher] + first + second
        material = HKDF(hashes.SHA256(), 2 * KEY_SIZE + LINK_ID_SIZE, salt or None, info).derive(secret)
        chains = _KeyChain(material[:KEY_SIZE], cipher), _KeyChain(material[KEY_SIZE : 2 * KEY_SIZE], cipher)
        self._send_chain, self._receive_chain = chains if self._public_key == first else chains[::-1]
        self.link_id = material[2 * KEY_SIZE :]
        self._send_epoch, self._send_key = self._send_chain.next_key()
        self._receive_keys = dict([self._receive_chain.next_key()])
        self._hold_next_receive_key()
        self._private_key = None

    def encrypt(
        self,
        plaintext: bytes,
        associated_data: bytes = b"",
        flags: int = 0,
        channel: int = 0,
        sequence: int = 0,
        offset: int = 0,
    ) -> bytes:
        """Seal one datagram: `plaintext` with its header, 48 bytes longer.

        Raises `ValueError` for a number that does not fit its field: flags 8 bits, channel 24, sequence and offset 64.
        """
        header = pack_header(flags, channel, sequence, offset)
        if self._send_key is None:
            raise KeyAgreementError("derive_shared_secret was not called yet")
        if self._counter - self._epoch_counter >= MAX_EPOCH_DATAGRAMS:
            self._next_send_epoch()
        nonce = self._send_epoch + self._counter.to_bytes(8, "big")
        self._counter += 1
        return nonce + self._send_key.encrypt(nonce, header + plaintext, associated_data)

    def seal_burst(
        self, payload: bytes | memoryview, chunk_size: int, flags: int, channel: int, sequence: int, offset: int
    ) -> bytes | memoryview:
        """Seal `payload` in datagrams of `chunk_size` bytes of it each, the last may have less; joined.

        `sequence` and `offset` are the first datagram's. The result is good until the next burst is sealed, by any
        encryptor. Raises `ValueError` as `encrypt` does.
        """
        count = -(-len(payload) // chunk_size) or 1
        pack_header(flags, channel, sequence, offset)  # these two are the check for all between them
        pack_header(flags, channel, sequence + count - 1, offset + len(payload))
        if self._send_key is None:
            raise KeyAgreementError("derive_shared_secret was not called yet")
        if self._counter - self._epoch_counter + count > MAX_EPOCH_DATAGRAMS:
            self._next_send_epoch()
        word = flags << 24 | channel
        counter = self._counter
        self._counter = counter + count  # first: a nonce is never used again, whatever happens here
        if count == full_burst(chunk_size) and count * chunk_size == len(payload):
            encrypt_into = self._send_key.encrypt_into
            return _full.seal(
                payload, chunk_size, encrypt_into, self.send_epoch, counter, word, sequence, offset
            )  # fmt: skip
        encrypt, epoch = self._send_key.encrypt, self._send_epoch
        sealed: list[bytes] = []
        for number in range(count):
            at = number * chunk_size
            nonce = epoch + (counter + number).to_bytes(8, "big")
            plain = pack_numbers(word, sequence + number, offset + at) + payload[at : at + chunk_size]
            sealed += nonce, encrypt(nonce, plain, b"")
        return b"".join(sealed)

    def decrypt(self, encrypted_data: bytes, associated_data: bytes = b"") -> tuple[int, int, int, int, bytes]:
        """Open one datagram: `(flags, channel, sequence, offset, plaintext)`.

        Raises `ValueError` for anything that is not authentic, as `DatagramTooShort`, `EpochNotAccepted` or
        `NotAuthentic`.
        """
        return self.open_untrusted(encrypted_data, associated_data)

    def open_untrusted(self, datagram: bytes, associated_data: bytes = b"") -> Opened:
        """`decrypt`, with names on what it returns."""
        if len(datagram) < OVERHEAD:
            raise DatagramTooShort(f"{len(datagram)} bytes")
        epoch = bytes(datagram[:EPOCH_SIZE])
        key = self._receive_keys.get(epoch)
        if key is None:
            raise EpochNotAccepted(f"epoch {int.from_bytes(epoch, 'big')}")
        try:
            opened = key.decrypt(datagram[:NONCE_SIZE], datagram[NONCE_SIZE:], associated_data)
        except InvalidTag:
            raise NotAuthentic("the tag does not fit") from None
        if epoch == self._next_epoch:
            self._peer_moved_on()
        return unpack(opened)

    @property
    def current_receive_key(self) -> tuple[bytes, Aead]:
        """The epoch, as it stands in the nonce, that datagrams are expected to be of, and its key."""
        epochs = iter(self._receive_keys)
        epoch = next(epochs)
        if epoch == self._last_epoch:
            epoch = next(epochs)
        return epoch, self._receive_keys[epoch]

    def answer_heard(self, sent_at: float, now: float) -> None:
        """The peer answered, at `now`, a datagram that was sealed at `sent_at` (seconds, any one monotonic clock).

        What was sealed in this epoch has then reached the peer if the epoch began before; only then may the next one
        begin, once it is due, since a peer accepts no epoch but the one after its own. This is also when the last
        receive key is forgotten, after its grace.
        """
        if self._epoch_began is None:
            self._epoch_began = now  # what is sealed from now on is of this epoch for certain
        elif sent_at >= self._epoch_began and (
            now - self._epoch_began >= EPOCH_LIFETIME or self._counter - self._epoch_counter >= EPOCH_DATAGRAMS
        ):
            self._next_send_epoch()
            self._epoch_began = now
        if self._last_epoch:
            if self._last_epoch_until is None:
                self._last_epoch_until = now + EPOCH_GRACE
            elif now >= self._last_epoch_until:
                self._forget_last_epoch()

    def _next_send_epoch(self) -> None:
        self._send_epoch, self._send_key = self._send_chain.next_key()
        self._epoch_counter = self._counter
        self._epoch_began = None

    def _peer_moved_on(self) -> None:
        """The first authentic datagram of the next epoch: that epoch is the current one now."""
        self._forget_last_epoch()
        self._last_epoch = next(iter(self._receive_keys))  # the oldest: what was current until now
        self._last_epoch_until = None
        self._hold_next_receive_key()

    def _forget_last_epoch(self) -> None:
        self._receive_keys.pop(self._last_epoch, None)
        self._last_epoch = b""

    def _hold_next_receive_key(self) -> None:
        # Ahead of time, so that a datagram of a wrong epoch costs no derivation.
        self._next_epoch, key = self._receive_chain.next_key()
        self._receive_keys[self._next_epoch] = key
