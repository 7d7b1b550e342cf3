"""Invite links, the HOST:PORT in them, and the proof of holding one."""

from __future__ import annotations

import random

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import InviteRejected, SettingsError
from bittrrt.settings import DEFAULT_PORT
from bittrrt.wire.endpoint import parse_host_port, show_host_port
from bittrrt.wire.fingerprint import fingerprint_of
from bittrrt.wire.invite import (
    MAX_LINK,
    InviteLink,
    new_token,
    parse_invite_link,
    proof_holds,
    prove,
    verifier_of,
)

SERVER = fingerprint_of(b"server")
CLIENT = fingerprint_of(b"client")
TOKEN = bytes(range(16))
EXPORTER = b"\x07" * 32
LINK = "bittrrt://lab.example:7000/#s-rNM0M7MbUlI1EDLJs-ei56p3ONXezfDdbGJoCFPAY.AAECAwQFBgcICQoLDA0ODw"

host_names = st.from_regex(r"[a-z0-9_][a-z0-9_-]{0,20}(\.[a-z0-9_][a-z0-9_-]{0,20}){0,3}", fullmatch=True)
hosts = st.one_of(host_names, st.ip_addresses().map(lambda address: address.compressed))
links = st.builds(
    InviteLink,
    hosts,
    st.integers(1, 65535),
    st.binary().map(fingerprint_of),
    st.binary(min_size=16, max_size=16),
)


class HostPortTests(SynchronousTestCase):
    def test_every_form_that_people_write(self) -> None:
        for text, expected in {
            "lab": ("lab", None),
            "Lab.Example": ("lab.example", None),
            "lab.example.:1": ("lab.example.", 1),
            "192.0.2.7:6711": ("192.0.2.7", 6711),
            "[2001:DB8::7]:65535": ("2001:db8::7", 65535),
            "[::1]": ("::1", None),
            "2001:db8:0::7": ("2001:db8::7", None),
            "xn--bcher-kva.example": ("xn--bcher-kva.example", None),
        }.items():
            self.assertEqual(parse_host_port(text), expected, text)

    def test_anything_else_is_refused_in_one_line(self) -> None:
        for text in (
            "",
            ":1",
            "lab:",
            "lab:0",
            "lab:65536",
            "lab:+1",
            "lab:1:2",
            "[lab]:1",
            "[::1",
            "::1]:2",
            "[::1]2",
            "[fe80::1%eth0]:1",
            "fe80::1%eth0",
            "-lab",
            "a..b",
            "a b",
            "lab\n",
            "bücher.example",
            "\N{KELVIN SIGN}elvin",
            "lab:\N{ARABIC-INDIC DIGIT ONE}",
            "a" * 64,
            "a." * 127,
            "me@lab",
        ):
            error = self.assertRaises(SettingsError, parse_host_port, text)
            self.assertIn("is not HOST, HOST:PORT or [IPv6]:PORT", str(error))
            self.assertNotIn("\n", str(error))

    @given(hosts, st.integers(1, 65535))
    def test_what_is_shown_is_what_is_read(self, host: str, port: int) -> None:
        self.assertEqual(parse_host_port(show_host_port(host, port)), (host, port))

    @given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("[]:.%0aA-"))))
    @example("a-" * 200 + "!")
    def test_any_text_raises_the_named_error_only(self, text: str) -> None:
        try:
            host, port = parse_host_port(text)
        except SettingsError:
            return
        self.assertEqual(parse_host_port(show_host_port(host, port or 1)), (host, port or 1))


class LinkTests(SynchronousTestCase):
    def test_the_text_is_the_documented_one(self) -> None:
        link = InviteLink("lab.example", 7000, SERVER, TOKEN)
        self.assertEqual(str(link), LINK)
        self.assertEqual(parse_invite_link(f"  {LINK}\n"), link)

    def test_a_port_left_out_is_the_default(self) -> None:
        self.assertEqual(parse_invite_link(LINK.replace(":7000", "")).port, DEFAULT_PORT)

    def test_an_ipv6_address_stands_in_brackets(self) -> None:
        link = InviteLink("2001:db8::7", 6711, SERVER, TOKEN)
        self.assertTrue(str(link).startswith("bittrrt://[2001:db8::7]:6711/#"))
        self.assertEqual(parse_invite_link(str(link)), link)

    def test_repr_keeps_the_token_to_itself(self) -> None:
        shown = repr(InviteLink("lab.example", 7000, SERVER, TOKEN))
        self.assertNotIn("token", shown)
        self.assertNotIn("AAECAwQFBgcICQoLDA0ODw", shown)

    def test_the_longest_host_name_fits(self) -> None:
        host = ".".join(["a" * 63] * 3 + ["a" * 61])
        self.assertEqual(len(host), 253)
        self.assertEqual(parse_invite_link(str(InviteLink(host, 65535, SERVER, TOKEN))).host, host)

    def test_every_other_text_is_refused_with_what_to_do_and_without_repeating_it(self) -> None:
        head, _, secrets = LINK.partition("#")
        for text, reason in {
            "": "does not begin with",
            "https://lab.example/": "does not begin with",
            LINK + "A" * MAX_LINK: "too long",
            head.rstrip("/"): "no part that begins with /#",
            LINK.replace("/#", "#"): "no part that begins with /#",
            f"bittrrt:///#{secrets}": "names no HOST:PORT",
            f"bittrrt://me@lab/#{secrets}": "names no HOST:PORT",
            f"bittrrt://lab/path/#{secrets}": "names no HOST:PORT",
            f"bittrrt://lab:0/#{secrets}": "names no HOST:PORT",
            LINK[:-1]: "cut short or was changed",
            LINK[:-1] + "x": "cut short or was changed",  # the same 16 bytes, spelled otherwise
            LINK.replace(".AAE", "AAE"): "cut short or was changed",
            LINK.replace("AAE", "AA="): "cut short or was changed",
            LINK.replace("-r", "+r"): "cut short or was changed",
            LINK.replace("#", "#/#"): "cut short or was changed",
        }.items():
            error = str(self.assertRaises(InviteRejected, parse_invite_link, text))
            self.assertIn(reason, error)
            self.assertTrue(error.startswith("this is no BittrRt link: "), error)
            self.assertTrue(error.endswith("copy the whole line that `bittrrt invite` printed"), error)
            self.assertNotIn("BgcICQo", error)
            self.assertNotIn("\n", error)

    @given(links)
    def test_every_link_survives_its_text(self, link: InviteLink) -> None:
        self.assertLessEqual(len(str(link)), MAX_LINK)
        self.assertEqual(parse_invite_link(str(link)), link)

    @given(st.one_of(st.text(), st.text().map("bittrrt://".__add__), st.text().map("bittrrt://lab/#".__add__)))
    def test_any_text_raises_the_named_error_only(self, text: str) -> None:
        self.assertRaises(InviteRejected, parse_invite_link, text)

    @given(links, st.data())
    def test_a_changed_character_gives_another_link_or_the_named_error(
        self, link: InviteLink, data: st.DataObject
    ) -> None:
        text = str(link)
        at = data.draw(st.integers(0, len(text) - 1))
        changed = text[:at] + data.draw(st.characters()) + text[at + 1 :]
        try:
            parsed = parse_invite_link(changed)
        except InviteRejected:
            return
        self.assertEqual(parsed == link, changed.lower() == text.lower() and changed[-66:] == text[-66:])


class ProofTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.verifier = verifier_of(TOKEN)
        self.proof = prove(TOKEN, EXPORTER, SERVER, CLIENT)

    def test_it_holds_for_its_token_session_and_keys(self) -> None:
        self.assertTrue(proof_holds(self.verifier, self.proof, EXPORTER, SERVER, CLIENT))

    def test_it_holds_for_nothing_else(self) -> None:
        other_verifier = verifier_of(bytes(16))
        self.assertFalse(proof_holds(other_verifier, self.proof, EXPORTER, SERVER, CLIENT))
        self.assertFalse(proof_holds(self.verifier, self.proof, b"\x08" * 32, SERVER, CLIENT))
        self.assertFalse(proof_holds(self.verifier, self.proof, EXPORTER, CLIENT, CLIENT))
        self.assertFalse(proof_holds(self.verifier, self.proof, EXPORTER, SERVER, SERVER))
        self.assertFalse(proof_holds(self.verifier, self.proof, EXPORTER, CLIENT, SERVER))

    def test_bytes_cannot_move_from_one_part_to_the_next(self) -> None:
        proof = prove(TOKEN, b"ab", "c", "d")
        self.assertFalse(proof_holds(self.verifier, proof, b"a", "bc", "d"))
        self.assertFalse(proof_holds(self.verifier, proof, b"ab", "cd", ""))

    def test_the_verifier_does_not_hold_the_token_and_is_always_the_same(self) -> None:
        self.assertEqual(self.verifier, verifier_of(TOKEN))
        self.assertEqual(len(self.verifier), 43)
        self.assertNotIn("AAECAwQFBgcICQoLDA0OD", self.verifier)

    def test_tokens_come_from_the_random_source_given(self) -> None:
        token = new_token(random.Random(1).randbytes)
        self.assertEqual(token, random.Random(1).randbytes(16))
        self.assertNotEqual(new_token(), new_token())

    def test_a_token_of_another_size_is_an_error_of_the_program(self) -> None:
        self.assertRaises(ValueError, verifier_of, bytes(15))

    @given(
        st.one_of(st.text(), st.binary(min_size=32, max_size=32).map(lambda data: verifier_of(data[:16]))),
        st.one_of(st.binary(max_size=80), st.binary(min_size=64, max_size=64)),
        st.binary(),
        st.text(st.characters(codec=None)),
    )
    @example("A" * 43, bytes(64), b"", "")
    @example("\ud800" * 43, bytes(64), b"", "\ud800")
    @example(verifier_of(TOKEN), bytes(64), b"", "\ud800")
    def test_hostile_input_is_false_and_never_an_error(
        self, verifier: str, proof: bytes, exporter: bytes, fingerprint: str
    ) -> None:
        self.assertIs(proof_holds(verifier, proof, exporter, SERVER, fingerprint), False)
