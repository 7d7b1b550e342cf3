"""Watches every (key, nonce) pair that the tests seal with: one used twice fails the test that did it.

An encryptor's nonces ascend under each key, so the last one is all that has to be remembered of a key; a nonce that is
not above it is taken for a repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.utils import Buffer
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link import encryptor
from bittrrt.link.cipher import new_aead
from bittrrt.wire.messages import CipherName


class NonceRecorder:
    """The last nonce sealed with, by key."""

    def __init__(self) -> None:
        self.last_nonces: dict[bytes, bytes] = {}
        self.sealed = 0
        self.repeats: list[str] = []
        """What was not told yet: an error that is raised may be caught on its way to the test."""

    def new_aead(self, name: CipherName, key: bytes) -> RecordedAead:
        """Stands in for the function of that name."""
        return RecordedAead(self, name, key)

    def record(self, key: bytes, nonce: bytes) -> None:
        """`nonce` is about to be sealed with. Raises `AssertionError` if it could have been before."""
        last = self.last_nonces.get(key, b"")
        if nonce <= last:  # the same size, big-endian: bytes compare as the numbers do
            self.repeats.append(f"nonce {nonce.hex()} after {last.hex()} under one key")
            raise AssertionError(self.repeats[-1])
        self.last_nonces[key] = nonce
        self.sealed += 1

    def tell(self) -> None:
        """Raises `AssertionError` if a nonce was repeated since this was called last."""
        repeats, self.repeats = self.repeats, []
        if repeats:
            raise AssertionError("; ".join(repeats))


class RecordedAead:
    """A key whose nonces are recorded."""

    __slots__ = ("_aead", "_key", "_recorder", "decrypt", "decrypt_into", "name")

    def __init__(self, recorder: NonceRecorder, name: CipherName, key: bytes) -> None:
        self.name: CipherName = name
        self._aead = new_aead(name, key)
        self._key = key
        self._recorder = recorder
        self.decrypt: Callable[[bytes, bytes, bytes | None], bytes] = self._aead.decrypt
        self.decrypt_into: Callable[[Buffer, Buffer, Buffer | None, Buffer], int] = self._aead.decrypt_into

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        self._recorder.record(self._key, nonce)
        return self._aead.encrypt(nonce, data, associated_data)

    def encrypt_into(self, nonce: Buffer, data: Buffer, associated_data: bytes | None, sealed: Buffer) -> int:
        self._recorder.record(self._key, bytes(nonce))
        return self._aead.encrypt_into(nonce, data, associated_data, sealed)


recorder = NonceRecorder()
"""That of this process."""


def watch_every_test() -> None:
    """Record what every encryptor seals from now on, and end every test with a look at it."""
    encryptor.new_aead = recorder.new_aead  # type: ignore[assignment,attr-defined]
    run = SynchronousTestCase.run

    def watched_run(test: SynchronousTestCase, result: Any) -> Any:
        test.addCleanup(recorder.tell)  # the first to be added is the last to run
        return run(test, result)

    SynchronousTestCase.run = watched_run  # type: ignore[method-assign]
