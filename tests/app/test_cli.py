"""The commands that need no network, and the words of their errors."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import click
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.cli import main
from bittrrt.app.duration import Duration
from bittrrt.files.authorized_clients import AuthorizedClients
from bittrrt.files.home import Home
from bittrrt.files.identity import load_or_create_identity
from bittrrt.files.known_servers import KnownServers
from bittrrt.wire.invite import parse_invite_link

ONE = "SHA256:" + "A" * 43
TWO = "SHA256:" + "B" * 42 + "A"


class DurationTests(SynchronousTestCase):
    def test_a_number_and_a_unit_are_seconds(self) -> None:
        for text, seconds in {"90s": 90.0, "15m": 900.0, "1h": 3600.0, " 7d ": 604_800.0}.items():
            self.assertEqual(Duration().convert(text, None, None), seconds)

    def test_anything_else_is_refused(self) -> None:
        for text in ("", "1", "h", "0s", "-1h", "1.5h", "1y", "1h30m", "٣h", "9999999999s"):
            self.assertRaises(click.BadParameter, Duration().convert, text, None, None)


class CommandTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.enterContext(mock.patch.dict(os.environ, {"COLUMNS": "80"}))
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")

    def run_command(self, *args: str, given: str = "") -> Result:
        """The command as a user runs it; what it raises is not for them to see."""
        result = CliRunner().invoke(main, ["--home", str(self.home.path), *args], input=given)
        if result.exception is not None:
            self.assertIsInstance(result.exception, SystemExit)
        return result

    def line(self, *args: str, given: str = "") -> str:
        """The one line with which it ends."""
        result = self.run_command(*args, given=given)
        self.assertEqual((result.exit_code, result.stdout, result.stderr.count("\n")), (1, "", 1), result.output)
        return result.stderr


class StatusTests(CommandTestCase):
    def test_without_a_home_it_makes_none(self) -> None:
        result = self.run_command("status")
        self.assertEqual(result.exit_code, 0)
        self.assertIn("none yet: join a server, or start one", result.stdout)
        self.assertFalse(self.home.path.exists())

    def test_it_shows_the_identity_servers_clients_and_lines_that_are_not_used(self) -> None:
        identity, _ = load_or_create_identity(self.home)
        KnownServers(self.home).pin("far.example", 6711, ONE)
        AuthorizedClients(self.home).authorize(TWO, "lab")
        (self.home.path / "known_servers").open("a").write("nonsense\n")
        result = self.run_command("status")
        self.assertEqual(result.exit_code, 0)
        self.assertIn(f"identity  {identity.fingerprint}\nserver    far.example:6711 {ONE}\n", result.stdout)
        self.assertIn("clients   1 may open sessions here", result.stdout)
        self.assertRegex(result.stderr, r"^Warning: .*known_servers line 2 is not used: .*\n$")

    def test_the_environment_names_the_home(self) -> None:
        load_or_create_identity(self.home)
        result = CliRunner().invoke(main, ["status"], env={"BITTRRT_HOME": str(self.home.path)})
        self.assertIn(f"home      {self.home.path}\n", result.stdout)

    def test_a_key_that_others_can_read_is_refused(self) -> None:
        load_or_create_identity(self.home)
        (self.home.path / "identity.pem").chmod(0o644)
        self.assertRegex(self.line("status"), r"^Error: .*identity\.pem is not for its owner alone: run chmod 600 ")


class InviteTests(CommandTestCase):
    def test_the_link_is_alone_on_standard_output(self) -> None:
        identity, _ = load_or_create_identity(self.home)
        result = self.run_command("invite")
        link = parse_invite_link(result.stdout.strip())
        self.assertEqual(result.stdout, f"{link}\n")
        self.assertEqual(link.fingerprint, identity.fingerprint)
        self.assertRegex(result.stderr, r"^The link names .* use --host\n$")

    def test_a_host_that_is_named_is_no_guess(self) -> None:
        load_or_create_identity(self.home)
        result = self.run_command("invite", "--host", "far.example:7000", "--name", "lab", "--expires", "15m")
        self.assertEqual(result.stderr, "")
        link = parse_invite_link(result.stdout.strip())
        self.assertEqual((link.host, link.port), ("far.example", 7000))
        self.assertTrue(self.home.read("invites").endswith(" name=lab\n"))

    def test_what_cannot_be_is_refused(self) -> None:
        self.assertIn("run twistd bittrrt first", self.line("invite"))
        load_or_create_identity(self.home)
        self.assertIn("is not HOST", self.line("invite", "--host", "a b"))
        self.assertIn("is no name", self.line("invite", "--name", "a b"))
        self.assertIn("cannot live", self.line("invite", "--expires", "9999d"))
        self.assertEqual(self.run_command("invite", "--expires", "soon").exit_code, 2)
        self.assertEqual(self.home.read("invites"), "")


class ClientsTests(CommandTestCase):
    def test_without_clients_it_says_so(self) -> None:
        result = self.run_command("clients")
        self.assertEqual((result.exit_code, result.stdout), (0, ""))
        self.assertEqual(result.stderr, "No client has joined yet: bittrrt invite\n")

    def test_revoked_ones_are_listed_as_such(self) -> None:
        authorized = AuthorizedClients(self.home)
        authorized.authorize(ONE, "[bold]lab")  # a client chooses its name: it is no markup
        authorized.authorize(TWO, "boat")
        result = self.run_command("clients", "revoke", "boat")
        self.assertEqual((result.exit_code, result.stdout), (0, f"boat ({TWO}) is revoked.\n"))
        rows = [line.split() for line in self.run_command("clients", "list").stdout.splitlines()]
        self.assertEqual(rows[1:], [["[bold]lab", ONE, "let", "in"], ["boat", TWO, "revoked"]])

    def test_a_client_that_is_not_there_is_named_with_those_that_are(self) -> None:
        AuthorizedClients(self.home).authorize(ONE, "lab")
        self.assertEqual(
            self.line("clients", "revoke", "bob"), f"Error: there is no client 'bob'; the clients are: lab {ONE}\n"
        )


class NetworkCommandTests(CommandTestCase):
    def test_a_link_that_is_none_is_refused_before_a_key_is_made(self) -> None:
        for link in ("", "x", "http://far.example/", "bittrrt://far.example/#a.b"):
            self.assertIn("this is no BittrRt link", self.line("join", link))
        self.assertIn("this is no BittrRt link", self.line("join", "-", given=""))
        self.assertFalse(self.home.path.exists())

    def test_a_server_that_was_not_joined_is_not_known(self) -> None:
        self.assertIn("then run: bittrrt join LINK", self.line("ping", "far.example"))
        self.assertIn("is not HOST", self.line("ping", "a b"))
        KnownServers(self.home).pin("far.example", 6711, ONE)
        self.assertIn("this end has no key yet", self.line("ping", "far.example"))

    def test_every_command_has_help(self) -> None:
        for command in ("join", "ping", "status", "invite", "clients"):
            for option in ("-h", "--help"):
                result = self.run_command(command, option)
                self.assertEqual(result.exit_code, 0)
                self.assertIn(f" {command} ", result.stdout)
