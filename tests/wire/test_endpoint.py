"""Hosts and ports: their one form. Every form that is read and refused is in test_invite.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import SettingsError
from bittrrt.wire.endpoint import MAX_HOST_NAME, parse_host_port, show_host_port


class OneFormTests(SynchronousTestCase):
    def test_spellings_of_one_host_are_one_host(self) -> None:
        for spellings in (
            ("lab.example", "LAB.example", "Lab.Example"),
            ("2001:db8::7", "2001:DB8:0:0:0:0:0:7", "[2001:db8::0:7]", "[2001:0db8::0007]"),
            ("::ffff:192.0.2.1", "::ffff:c000:201"),
        ):
            self.assertEqual(len({parse_host_port(text) for text in spellings}), 1, spellings)

    def test_only_an_ipv6_address_is_shown_in_brackets(self) -> None:
        self.assertEqual(show_host_port("lab.example", 1), "lab.example:1")
        self.assertEqual(show_host_port("192.0.2.1", 65535), "192.0.2.1:65535")
        self.assertEqual(show_host_port("2001:db8::7", 6711), "[2001:db8::7]:6711")

    def test_a_name_has_a_longest(self) -> None:
        longest = ".".join(["a" * 63] * 3 + ["a" * 61])
        self.assertEqual(len(longest), MAX_HOST_NAME)
        self.assertEqual(parse_host_port(longest), (longest, None))
        self.assertRaises(SettingsError, parse_host_port, longest + "a")

    def test_a_refusal_does_not_repeat_a_long_text(self) -> None:
        error = self.assertRaises(SettingsError, parse_host_port, "x" * 100_000)
        self.assertLess(len(str(error)), 200)

    @given(st.ip_addresses(), st.one_of(st.none(), st.integers(1, 65535)))
    def test_an_address_is_read_back_compressed(self, address: object, port: int | None) -> None:
        text = str(address) if port is None else show_host_port(str(address), port)
        host, parsed_port = parse_host_port(text)
        self.assertEqual((host, parsed_port), (str(address), port))

    @given(st.integers(0, 99_999))
    def test_a_port_is_in_range_or_refused(self, port: int) -> None:
        try:
            self.assertEqual(parse_host_port(f"lab:{port}"), ("lab", port))
        except SettingsError:
            self.assertFalse(1 <= port <= 65535)
