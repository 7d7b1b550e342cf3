"""Agreement, sealing and opening. The epochs have a file of their own: test_epochs.py."""

from __future__ import annotations

import copy
import inspect
import pickle
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt import CommEncryptor
from bittrrt.errors import DatagramTooShort, EpochNotAccepted, KeyAgreementError, NotAuthentic, Rejected
from bittrrt.wire.datagram import OVERHEAD

from ..agreement import agreed_pair

U8, U24, U64 = 2**8 - 1, 2**24 - 1, 2**64 - 1
P = 2**255 - 19  # the field of Curve25519, RFC 7748

LOW_ORDER = [
    number.to_bytes(32, "little")
    for number in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        P - 1,
        P,
        P + 1,
    )
]


def keys_by_hand(
    one: CommEncryptor, other_public_key: bytes, salt: bytes, info: bytes = b"bittrrt/1 datagrams"
) -> tuple[bytes, bytes]:
    """The keys of epoch 0 in both directions, computed from the documentation: the lower public key's end sends with
    the first."""
    assert one._private_key is not None
    secret = one._private_key.exchange(X25519PublicKey.from_public_bytes(other_public_key))
    first, second = sorted((one.get_public_key(), other_public_key))
    material = HKDF(hashes.SHA256(), 80, salt, info + first + second).derive(secret)
    chains = material[:32], material[32:64]
    keys = [HKDFExpand(hashes.SHA256(), 64, b"bittrrt/1 next epoch").derive(chain)[32:] for chain in chains]
    return keys[0], keys[1]


class AgreementTests(SynchronousTestCase):
    def test_public_keys_are_32_bytes_and_fresh(self) -> None:
        keys = {CommEncryptor().get_public_key() for _ in range(10)}
        self.assertEqual((len(keys), {len(key) for key in keys}), (10, {32}))

    def test_both_ends_agree_whichever_key_is_lower(self) -> None:
        lower = set()
        for _ in range(12):
            one, other = agreed_pair()
            lower.add(one.get_public_key() < other.get_public_key())
            self.assertEqual(other.decrypt(one.encrypt(b"there")), (0, 0, 0, 0, b"there"))
            self.assertEqual(one.decrypt(other.encrypt(b"back")), (0, 0, 0, 0, b"back"))
        self.assertEqual(lower, {True, False})

    def test_the_link_has_one_name_at_both_ends_and_another_each_time(self) -> None:
        self.assertEqual(CommEncryptor().link_id, b"")
        names = set()
        for _ in range(5):
            one, other = agreed_pair()
            self.assertEqual(one.link_id, other.link_id)
            names.add(one.link_id)
        self.assertEqual((len(names), {len(name) for name in names}), (5, {16}))

    def test_the_ends_own_key_is_refused(self) -> None:
        end = CommEncryptor()
        self.assertRaises(KeyAgreementError, end.derive_shared_secret, end.get_public_key())

    def test_a_key_that_leads_to_the_all_zero_secret_is_refused(self) -> None:
        for key in LOW_ORDER:
            self.assertRaises(KeyAgreementError, CommEncryptor().derive_shared_secret, key)
            with_top_bit = key[:-1] + bytes([key[-1] | 0x80])  # RFC 7748: the bit is ignored
            self.assertRaises(KeyAgreementError, CommEncryptor().derive_shared_secret, with_top_bit)

    def test_a_key_of_another_size_is_refused(self) -> None:
        for size in (0, 1, 31, 33, 64):
            self.assertRaises(KeyAgreementError, CommEncryptor().derive_shared_secret, b"\x09" * size)

    def test_a_refused_key_does_not_spoil_the_exchange(self) -> None:
        one, other = CommEncryptor(), CommEncryptor()
        self.assertRaises(ValueError, one.derive_shared_secret, bytes(32))
        one.derive_shared_secret(other.get_public_key())
        other.derive_shared_secret(one.get_public_key())
        self.assertEqual(other.decrypt(one.encrypt(b"well"))[4], b"well")

    def test_the_keys_are_agreed_on_once(self) -> None:
        one, _ = agreed_pair()
        self.assertRaises(KeyAgreementError, one.derive_shared_secret, CommEncryptor().get_public_key())

    def test_nothing_is_sealed_or_opened_before(self) -> None:
        self.assertRaises(KeyAgreementError, CommEncryptor().encrypt, b"")
        self.assertRaises(ValueError, CommEncryptor().decrypt, bytes(100))

    def test_the_salt_binds_the_keys_to_the_channel(self) -> None:
        one, other = agreed_pair(b"exporter of one channel", b"exporter of another")
        self.assertRaises(NotAuthentic, other.decrypt, one.encrypt(b""))
        self.assertNotEqual(one.link_id, other.link_id)
        one, other = agreed_pair(b"exporter")
        self.assertEqual(other.decrypt(one.encrypt(b"same"))[4], b"same")


class LayoutTests(SynchronousTestCase):
    def test_the_signatures_are_the_seeds(self) -> None:
        parameters = inspect.signature(CommEncryptor.encrypt).parameters
        self.assertEqual(
            [(name, p.default) for name, p in parameters.items()][1:],
            [
                ("plaintext", inspect.Parameter.empty),
                ("associated_data", b""),
                ("flags", 0),
                ("channel", 0),
                ("sequence", 0),
                ("offset", 0),
            ],
        )
        self.assertEqual(
            list(inspect.signature(CommEncryptor.decrypt).parameters)[1:], ["encrypted_data", "associated_data"]
        )

    def test_a_datagram_is_byte_for_byte_the_documented_one_in_both_directions(self) -> None:
        for salt in (None, b"s" * 32):
            one, other = CommEncryptor(), CommEncryptor()
            first_key, second_key = keys_by_hand(one, other.get_public_key(), salt or b"")
            one.derive_shared_secret(other.get_public_key(), salt=salt or b"")
            other.derive_shared_secret(one.get_public_key(), salt=salt or b"")
            for end in (one, other):
                key = (
                    first_key
                    if end.get_public_key() == min(one.get_public_key(), other.get_public_key())
                    else second_key
                )
                datagram = end.encrypt(b"payload", b"with it", 0x21, 0x010203, 2**63 + 5, 77)
                self.assertEqual(datagram[:12], bytes(12))  # epoch 0, counter 0
                plain = ChaCha20Poly1305(key).decrypt(datagram[:12], datagram[12:], b"with it")
                self.assertEqual(plain[:1], b"\x21")
                self.assertEqual(plain[1:4], b"\x01\x02\x03")
                self.assertEqual(plain[4:20], struct.pack(">QQ", 2**63 + 5, 77))
                self.assertEqual(plain[20:], b"payload")

    def test_a_datagram_sealed_by_hand_is_opened(self) -> None:
        one, other = CommEncryptor(), CommEncryptor()
        keys = keys_by_hand(one, other.get_public_key(), b"")
        key = keys[0] if one.get_public_key() < other.get_public_key() else keys[1]
        other.derive_shared_secret(one.get_public_key())
        nonce = struct.pack(">IQ", 0, 12345)
        header = b"\x03" + (16_777_215).to_bytes(3, "big") + struct.pack(">QQ", 9, 10)
        datagram = nonce + ChaCha20Poly1305(key).encrypt(nonce, header + b"by hand", b"")
        self.assertEqual(other.decrypt(datagram), (3, 16_777_215, 9, 10, b"by hand"))

    def test_the_overhead_is_48_bytes(self) -> None:
        one, _ = agreed_pair()
        for size in (0, 1, 1200, 65_459):
            self.assertEqual(len(one.encrypt(bytes(size))), size + 48)

    def test_the_counter_never_comes_from_the_sequence(self) -> None:
        one, _ = agreed_pair()
        nonces = [one.encrypt(b"", sequence=sequence)[:12] for sequence in (5, 5, 0, U64, 5)]
        self.assertEqual(nonces, [struct.pack(">IQ", 0, counter) for counter in range(5)])

    def test_a_number_that_does_not_fit_is_refused_and_costs_no_nonce(self) -> None:
        one, other = agreed_pair()
        for name, largest in {"flags": U8, "channel": U24, "sequence": U64, "offset": U64}.items():
            for number in (-1, largest + 1, 2**200):
                with self.assertRaises(ValueError):
                    one.encrypt(b"", **{name: number})  # type: ignore[arg-type]
        self.assertEqual(one.encrypt(b"")[:12], bytes(12))
        self.assertEqual(other.decrypt(one.encrypt(b"", b"", U8, U24, U64, U64)), (U8, U24, U64, U64, b""))

    @given(
        st.binary(max_size=100),
        st.binary(max_size=20),
        st.integers(0, U8),
        st.integers(0, U24),
        st.integers(0, U64),
        st.integers(0, U64),
    )
    def test_what_was_sealed_is_what_is_opened(
        self, plaintext: bytes, associated_data: bytes, flags: int, channel: int, sequence: int, offset: int
    ) -> None:
        one, other = PAIR
        datagram = one.encrypt(plaintext, associated_data, flags, channel, sequence, offset)
        expected = (flags, channel, sequence, offset, plaintext)
        self.assertEqual(other.decrypt(datagram, associated_data), expected)
        self.assertEqual(other.decrypt(memoryview(datagram), associated_data), expected)  # type: ignore[arg-type]


PAIR = agreed_pair()  # hypothesis runs one test method many times on it


class OpeningTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.one, self.other = agreed_pair()
        self.datagram = self.one.encrypt(b"payload", flags=3, channel=1)

    def test_opening_remembers_nothing(self) -> None:
        for _ in range(3):
            self.assertEqual(self.other.decrypt(self.datagram), (3, 1, 0, 0, b"payload"))

    def test_a_reflected_datagram_is_refused(self) -> None:
        self.assertRaises(NotAuthentic, self.one.decrypt, self.datagram)

    def test_a_datagram_of_another_session_is_refused(self) -> None:
        self.assertRaises(NotAuthentic, agreed_pair()[0].decrypt, self.datagram)

    def test_one_changed_bit_anywhere_is_refused(self) -> None:
        for at in range(8 * len(self.datagram)):
            changed = bytearray(self.datagram)
            changed[at // 8] ^= 1 << at % 8
            with self.assertRaises(Rejected) as caught:
                self.other.decrypt(bytes(changed))
            if at >= 32:  # beyond the epoch
                self.assertIsInstance(caught.exception, NotAuthentic)

    def test_every_truncation_is_refused(self) -> None:
        for size in range(len(self.datagram)):
            error = DatagramTooShort if size < OVERHEAD else NotAuthentic
            self.assertRaises(error, self.other.decrypt, self.datagram[:size])
        self.assertRaises(NotAuthentic, self.other.decrypt, self.datagram + b"\x00")

    def test_other_associated_data_is_refused(self) -> None:
        self.assertRaises(NotAuthentic, self.other.decrypt, self.datagram, b"more")
        with_data = self.one.encrypt(b"", b"data")
        self.assertRaises(NotAuthentic, self.other.decrypt, with_data)

    def test_an_epoch_out_of_reach_is_refused_by_its_name(self) -> None:
        for epoch in (2, 3, 2**32 - 1):
            self.assertRaises(EpochNotAccepted, self.other.decrypt, struct.pack(">I", epoch) + self.datagram[4:])

    def test_what_is_refused_changes_nothing(self) -> None:
        for junk in (b"", bytes(100), b"\xff" * 100, struct.pack(">I", 1) + self.datagram[4:]):
            self.assertRaises(Rejected, self.other.decrypt, junk)
        self.assertEqual(self.other.decrypt(self.datagram)[4], b"payload")
        self.assertEqual(self.one.decrypt(self.other.encrypt(b"back"))[4], b"back")

    @given(st.one_of(st.binary(max_size=100), st.binary(min_size=44, max_size=100).map(bytes(4).__add__)))
    @example(b"")
    @example(bytes(47))
    @example(bytes(48))
    @example(struct.pack(">I", 1) + bytes(44))
    def test_any_bytes_raise_a_named_error_only(self, datagram: bytes) -> None:
        with self.assertRaises((DatagramTooShort, EpochNotAccepted, NotAuthentic)):
            PAIR[1].open_untrusted(datagram)
        self.assertTrue(issubclass(Rejected, ValueError))


class SecrecyTests(SynchronousTestCase):
    def test_an_encryptor_can_be_neither_copied_nor_pickled(self) -> None:
        for end in (CommEncryptor(), agreed_pair()[0]):
            for attempt in (copy.copy, copy.deepcopy, *[lambda e, p=p: pickle.dumps(e, p) for p in range(6)]):
                self.assertRaises(TypeError, attempt, end)

    def test_its_repr_shows_no_key(self) -> None:
        fresh = CommEncryptor()
        self.assertEqual(repr(fresh), "<CommEncryptor of link not agreed, epoch 0>")
        one, _ = agreed_pair()
        self.assertEqual(repr(one), f"<CommEncryptor of link {one.link_id.hex()}, epoch 0>")
        self.assertEqual(str(one), repr(one))
        for chain in (one._send_chain, one._receive_chain):
            self.assertNotIn("_chain=", repr(chain))
            self.assertNotIn(repr(chain._chain)[2:-1], repr(chain))

    def test_the_private_key_is_forgotten_after_the_agreement(self) -> None:
        self.assertIsNone(agreed_pair()[0]._private_key)
