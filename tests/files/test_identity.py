"""The identity: made once, kept, and refused when it is not safe or not whole."""

from __future__ import annotations

import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import SettingsError
from bittrrt.files.home import Home
from bittrrt.files.identity import FILE_NAME, load_identity, load_or_create_identity, passing_identity
from bittrrt.wire.fingerprint import fingerprint_of


class IdentityTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.path = self.home.path / FILE_NAME

    def test_it_is_made_once_and_then_the_same(self) -> None:
        self.assertIsNone(load_identity(self.home))
        made, created = load_or_create_identity(self.home)
        again, created_again = load_or_create_identity(Home(self.home.path))
        loaded = load_identity(self.home)
        assert loaded is not None
        self.assertEqual((created, created_again), (True, False))
        self.assertEqual({made.fingerprint, again.fingerprint, loaded.fingerprint}, {made.fingerprint})
        self.assertEqual(made.certificate, loaded.certificate)

    def test_two_homes_have_two_keys(self) -> None:
        other, _ = load_or_create_identity(Home(Path(self.enterContext(TemporaryDirectory())) / "home"))
        self.assertNotEqual(load_or_create_identity(self.home)[0].fingerprint, other.fingerprint)

    def test_the_key_comes_from_the_random_source_given(self) -> None:
        identity, _ = load_or_create_identity(self.home, Random(1).randbytes)
        self.assertEqual(identity.private_key.private_bytes_raw(), Random(1).randbytes(32))

    def test_programs_that_start_at_the_same_moment_get_the_same_one(self) -> None:
        results: list[tuple[str, bool]] = []

        def start() -> None:
            identity, created = load_or_create_identity(Home(self.home.path))
            results.append((identity.fingerprint, created))

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(results), 4)
        self.assertEqual(len({fingerprint for fingerprint, _ in results}), 1)
        self.assertEqual(sum(created for _, created in results), 1)

    def test_its_file_is_for_its_owner_alone_or_refused(self) -> None:
        load_or_create_identity(self.home)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.path.chmod(0o640)
        for load in (load_identity, load_or_create_identity):
            error = self.assertRaises(SettingsError, load, self.home)
            self.assertIn(f"run chmod 600 {self.path}", str(error))

    def test_the_certificate_shows_the_key_and_never_ends(self) -> None:
        identity, _ = load_or_create_identity(self.home)
        certificate = identity.certificate
        spki_der = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.assertEqual(fingerprint_of(spki_der), identity.fingerprint)
        certificate.verify_directly_issued_by(certificate)
        self.assertEqual(certificate.subject.rfc4514_string(), "CN=bittrrt")
        self.assertEqual(certificate.not_valid_before_utc, datetime(1970, 1, 1, tzinfo=UTC))
        self.assertEqual(certificate.not_valid_after_utc.year, 9999)

    def test_one_in_passing_is_another_each_time_and_kept_nowhere(self) -> None:
        before = os.listdir(self.home.path.parent)
        self.assertNotEqual(passing_identity().fingerprint, passing_identity().fingerprint)
        self.assertEqual(os.listdir(self.home.path.parent), before)

    def test_repr_keeps_the_key_to_itself(self) -> None:
        identity, _ = load_or_create_identity(self.home)
        self.assertEqual(repr(identity), f"Identity(fingerprint={identity.fingerprint!r})")

    def test_a_file_that_holds_no_such_key_is_one_line_and_stays(self) -> None:
        key, pkcs8 = Ed25519PrivateKey.generate(), PrivateFormat.PKCS8
        load_or_create_identity(self.home)
        for broken in (
            b"",
            b"not a key \xff",
            self.path.read_bytes()[:60],
            key.private_bytes(Encoding.PEM, pkcs8, BestAvailableEncryption(b"password")),
            X25519PrivateKey.generate().private_bytes(Encoding.PEM, pkcs8, NoEncryption()),
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        ):
            self.path.write_bytes(broken)
            for load in (load_identity, load_or_create_identity):
                error = str(self.assertRaises(SettingsError, load, self.home))
                self.assertTrue(error.startswith(f"{self.path} holds no Ed25519 key"), error)
                self.assertNotIn("\n", error)
            self.assertEqual(self.path.read_bytes(), broken)
