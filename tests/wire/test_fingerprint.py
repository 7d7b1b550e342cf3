"""Fingerprints: one text a key, and no other text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import SettingsError
from bittrrt.wire.fingerprint import digest_in, fingerprint_from_digest, fingerprint_of, parse_fingerprint

OF_NOTHING = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"  # `openssl sha256 -binary /dev/null | base64`


class FingerprintTests(SynchronousTestCase):
    def test_it_is_the_unpadded_base64_of_sha_256(self) -> None:
        self.assertEqual(fingerprint_of(b""), OF_NOTHING)

    def test_white_space_and_padding_around_it_are_left_away(self) -> None:
        self.assertEqual(parse_fingerprint(f" {OF_NOTHING}=\n"), OF_NOTHING)

    def test_another_spelling_of_the_same_bytes_is_refused(self) -> None:
        self.assertRaises(SettingsError, parse_fingerprint, OF_NOTHING[:-1] + "V")  # differs in bits that are no part
        self.assertRaises(SettingsError, parse_fingerprint, OF_NOTHING.replace("+", "-").replace("/", "_"))
        self.assertRaises(SettingsError, parse_fingerprint, OF_NOTHING.replace("SHA256", "sha256"))

    def test_the_error_is_one_short_line(self) -> None:
        error = self.assertRaises(SettingsError, parse_fingerprint, "x\n" * 10_000)
        self.assertNotIn("\n", str(error))
        self.assertLess(len(str(error)), 300)

    @given(st.binary(min_size=32, max_size=32))
    def test_digest_and_text_are_each_other(self, digest: bytes) -> None:
        self.assertEqual(digest_in(parse_fingerprint(fingerprint_from_digest(digest))), digest)

    @given(st.one_of(st.text(), st.text().map("SHA256:".__add__)))
    def test_any_other_text_raises_the_named_error_only(self, text: str) -> None:
        try:
            fingerprint = parse_fingerprint(text)
        except SettingsError:
            return
        self.assertEqual(fingerprint, text.strip().removesuffix("="))
