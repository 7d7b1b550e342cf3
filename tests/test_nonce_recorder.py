"""The recorder that watches every nonce of every test."""

from __future__ import annotations

from twisted.trial.reporter import TestResult
from twisted.trial.unittest import SynchronousTestCase

from bittrrt import CommEncryptor

from . import nonce_recorder
from .nonce_recorder import NonceRecorder

KEY = bytes(32)


class RecorderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recorder = NonceRecorder()

    def seal(self, *numbers: int, key: bytes = KEY) -> None:
        for number in numbers:
            self.recorder.new_aead("aes-256-gcm", key).encrypt(number.to_bytes(12, "big"), b"", None)

    def test_ascending_nonces_pass(self) -> None:
        self.seal(0, 1, 2, 255, 256, 2**64, 2**96 - 1)
        self.recorder.tell()
        self.assertEqual(self.recorder.sealed, 7)

    def test_a_repeat_is_caught_at_once_and_again_at_the_end_of_the_test(self) -> None:
        self.seal(0, 1)
        self.assertRaises(AssertionError, self.seal, 1)
        self.assertRaises(AssertionError, self.recorder.tell)
        self.recorder.tell()  # once is enough: the next test did nothing

    def test_a_repeat_of_an_older_one_is_caught(self) -> None:
        self.seal(0, 1, 2)
        self.assertRaises(AssertionError, self.seal, 0)

    def test_another_key_has_its_own_nonces(self) -> None:
        self.seal(0, 1)
        self.seal(0, 1, key=b"\x01" * 32)
        self.recorder.tell()

    def test_opening_is_not_sealing(self) -> None:
        aead = self.recorder.new_aead("aes-256-gcm", KEY)
        sealed = aead.encrypt(bytes(12), b"plain", None)
        self.assertEqual([aead.decrypt(bytes(12), sealed, None) for _ in range(2)], [b"plain"] * 2)
        self.recorder.tell()


class WatchTests(SynchronousTestCase):
    """That the recorder of this process sees this package's encryptors, and fails the test that repeats a nonce."""

    def run_test_that_repeats_a_nonce(self, *, swallow: bool) -> TestResult:
        ends = CommEncryptor(), CommEncryptor()
        for end, other in (ends, ends[::-1]):
            end.derive_shared_secret(other.get_public_key())

        class Repeats(SynchronousTestCase):
            def test_it(self) -> None:
                ends[0].encrypt(b"one")
                ends[0]._counter -= 1
                try:
                    ends[0].encrypt(b"two")
                except AssertionError:
                    if not swallow:
                        raise

        result = TestResult()
        Repeats("test_it").run(result)
        self.assertEqual(nonce_recorder.recorder.repeats, [])
        return result

    def test_a_test_that_repeats_a_nonce_fails(self) -> None:
        for swallow in (False, True):
            result = self.run_test_that_repeats_a_nonce(swallow=swallow)
            self.assertFalse(result.wasSuccessful())
            self.assertIn("under one key", str(result.errors[0][1]))

    def test_every_encryptor_is_watched(self) -> None:
        sealed = nonce_recorder.recorder.sealed
        ends = CommEncryptor(), CommEncryptor()
        for end, other in (ends, ends[::-1]):
            end.derive_shared_secret(other.get_public_key())
        for end in ends:
            end.encrypt(b"")
        self.assertEqual(nonce_recorder.recorder.sealed, sealed + 2)
