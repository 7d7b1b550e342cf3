"""Links: what they name the server, and that they can be parsed back."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.invitation import ServerEndpoint, known_endpoint, make_invitation, own_address, remember_endpoint
from bittrrt.errors import SettingsError
from bittrrt.files.home import Home
from bittrrt.files.identity import load_or_create_identity
from bittrrt.settings import Settings
from bittrrt.wire.invite import InviteLink, parse_invite_link


class InvitationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.identity, _ = load_or_create_identity(self.home)

    def make(self, endpoint: ServerEndpoint, host: str = "") -> tuple[InviteLink, bool]:
        return make_invitation(self.home, self.identity, endpoint, now=1000.0, host=host)

    def test_a_link_is_parsed_back_and_names_the_servers_key(self) -> None:
        link, _ = self.make(ServerEndpoint("192.0.2.7", 7000))
        self.assertEqual(parse_invite_link(str(link)), link)
        self.assertEqual((link.host, link.port, link.fingerprint), ("192.0.2.7", 7000, self.identity.fingerprint))

    def test_what_is_asked_for_goes_before_what_is_advertised_and_that_before_the_interface(self) -> None:
        endpoint = ServerEndpoint("192.0.2.7", 7000, "example.net:7001")
        cases = {"": ("example.net", 7001), "other": ("other", 7000), "[2001:db8::1]:5": ("2001:db8::1", 5)}
        for host, expected in cases.items():
            link, guessed = self.make(endpoint, host)
            self.assertEqual((link.host, link.port, guessed), (*expected, False))

    def test_only_a_server_on_every_address_has_to_guess(self) -> None:
        self.assertFalse(self.make(ServerEndpoint("192.0.2.7"))[1])
        self.assertTrue(self.make(ServerEndpoint("0.0.0.0"))[1])
        self.assertTrue(self.make(ServerEndpoint("::"))[1])
        self.assertEqual(own_address("2001:db8::1"), "2001:db8::1")

    def test_a_host_that_is_none_makes_no_link(self) -> None:
        self.assertRaises(SettingsError, self.make, ServerEndpoint(), "a b")
        self.assertEqual(self.home.read("invites"), "")

    def test_where_the_server_ran_last_is_remembered(self) -> None:
        self.assertEqual(known_endpoint(self.home), ServerEndpoint())
        remember_endpoint(self.home, Settings(interface="::1", port=7000, advertise="example.net"))
        self.assertEqual(known_endpoint(self.home), ServerEndpoint("::1", 7000, "example.net"))

    def test_a_broken_memory_is_one_line_that_says_what_to_do(self) -> None:
        self.home.write("server.json", "{")
        error = self.assertRaises(SettingsError, known_endpoint, self.home)
        self.assertRegex(str(error), r"server\.json: .*; delete it, and start the server again$")
