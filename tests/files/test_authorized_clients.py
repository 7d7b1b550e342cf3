"""Who is let in: found fast, changed while the server runs, kept as people wrote it; and revoked is revoked."""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import LinkError, SettingsError
from bittrrt.files.authorized_clients import FILE_NAME, AuthorizedClient, AuthorizedClients, valid_name
from bittrrt.files.home import Home
from bittrrt.wire.fingerprint import fingerprint_of

ONE, TWO, THREE = (fingerprint_of(bytes([number])) for number in range(3))

words = st.one_of(
    st.sampled_from([ONE, TWO, ONE[:-1], "@revoked", "@other", "#", "anna", "a=b", "a=", "=", "\r", "\x1f", "\udcff"]),
    st.text(max_size=8),
)
file_texts = st.lists(st.lists(words, max_size=5).map(" ".join), max_size=6).map("\n".join)


class NameTests(SynchronousTestCase):
    def test_names_are_printable_words_of_64_characters_at_most(self) -> None:
        for name in ("a", "anna@laptop", "Zoë", "測試", "x" * 64, "#1", "a=b"):
            self.assertTrue(valid_name(name), name)
        for name in (
            "",
            "x" * 65,
            "a b",
            "a\tb",
            "a\nb",
            "a\u00a0b",
            "a\u2028b",
            "\x1b[2J",
            "\u202eanna",  # right-to-left override
            "an\u200bna",  # zero-width space
            "\ud800",
            ONE,
        ):
            self.assertFalse(valid_name(name), ascii(name))

    @given(st.text(st.characters(codec=None), max_size=70))
    def test_a_valid_name_is_one_word_of_one_line_that_can_be_printed(self, name: str) -> None:
        if valid_name(name):
            self.assertEqual(name.split(), [name])
            name.encode()


class AuthorizedClientsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.clients = AuthorizedClients(self.home)

    def write(self, *lines: str) -> None:
        self.home.write_lines(FILE_NAME, lines)
        self.clients.refresh()

    def test_nobody_is_let_in_at_first(self) -> None:
        self.assertEqual(self.clients.clients(), [])
        self.assertIsNone(self.clients.lookup(ONE))
        self.assertFalse(self.home.path.exists())

    def test_an_authorized_client_is_a_line_that_people_can_read(self) -> None:
        made = self.clients.authorize(ONE, "anna")
        self.assertEqual(made, AuthorizedClient(ONE, "anna"))
        self.assertEqual(self.home.read(FILE_NAME), f"{ONE} anna\n")
        self.assertEqual(self.clients.lookup(ONE), made)
        self.assertEqual(AuthorizedClients(self.home).clients(), [made])

    def test_options_are_read_and_kept(self) -> None:
        self.write(f"{ONE} anna root=/srv/a=b rights=read,write quota=")
        client = self.clients.lookup(ONE)
        assert client is not None
        self.assertEqual(dict(client.options), {"root": "/srv/a=b", "rights": "read,write", "quota": ""})
        self.clients.revoke("anna")
        self.clients.authorize(ONE, "anna2")
        self.assertEqual(self.home.read(FILE_NAME), f"{ONE} anna2 root=/srv/a=b rights=read,write quota=\n")

    def test_rights_are_bare_words_and_kept_as_such(self) -> None:
        self.write(f"{ONE} anna read folder=anna quota=10G")
        client = self.clients.lookup(ONE)
        assert client is not None
        self.assertEqual(dict(client.options), {"read": "", "folder": "anna", "quota": "10G"})
        self.clients.authorize(ONE, "anna2")
        self.assertEqual(self.home.read(FILE_NAME), f"{ONE} anna2 read folder=anna quota=10G\n")

    def test_a_change_keeps_comments_order_and_lines_it_cannot_read(self) -> None:
        self.write("# ours", f"{ONE} anna", "", "rubbish", f"{TWO} ben", f"{ONE} again")
        self.clients.authorize(THREE, "cleo")
        self.clients.revoke("anna")
        self.assertEqual(
            self.home.read_lines(FILE_NAME),
            ["# ours", f"@revoked {ONE} anna", "", "rubbish", f"{TWO} ben", f"{THREE} cleo"],
        )

    def test_a_revoked_client_is_known_as_such_until_authorized_again(self) -> None:
        self.clients.authorize(ONE, "anna")
        self.assertEqual(self.clients.revoke(ONE), AuthorizedClient(ONE, "anna", revoked=True))
        self.assertEqual(self.clients.lookup(ONE), AuthorizedClient(ONE, "anna", revoked=True))
        before = self.home.signature(FILE_NAME)
        self.assertTrue(self.clients.revoke("anna").revoked)
        self.assertEqual(self.home.signature(FILE_NAME), before)
        self.clients.authorize(ONE, "anna")
        self.assertEqual(self.home.read(FILE_NAME), f"{ONE} anna\n")

    def test_revoked_is_revoked_wherever_and_however_the_line_stands(self) -> None:
        for lines in (
            [f"@revoked {ONE} anna", f"{ONE} anna"],
            [f"{ONE} anna", f"@revoked {ONE} anna"],
            [f"{ONE} anna", f"@revoked {ONE}"],
            [f"{ONE} anna", f"  @revoked\t{ONE} \x1b what ever\r"],
        ):
            self.write(*lines)
            client = self.clients.lookup(ONE)
            assert client is not None
            self.assertTrue(client.revoked, lines)
            self.clients.authorize(ONE, "anna")
            self.assertEqual(self.home.read(FILE_NAME), f"{ONE} anna\n")

    def test_the_first_of_two_lines_counts_and_the_other_is_told(self) -> None:
        self.write(f"{ONE} anna", f"{ONE} ben")
        self.assertEqual(self.clients.clients(), [AuthorizedClient(ONE, "anna")])
        self.assertEqual(
            self.clients.problems(), [f"{self.clients.path} line 2 is not used: an earlier line has the same key"]
        )

    def test_lines_it_cannot_read_let_nobody_in_and_are_told(self) -> None:
        self.write(
            ONE, "# fine", f"{ONE} a\x07b", f"{ONE} anna raed", f"{ONE} anna a=1 a=2", "@revoked", f"@x {ONE} anna"
        )
        self.assertEqual(self.clients.clients(), [])
        problems = self.clients.problems()
        self.assertEqual(len(problems), 6)
        for number, problem in zip((1, 3, 4, 5, 6, 7), problems, strict=True):
            self.assertTrue(problem.startswith(f"{self.clients.path} line {number} is not used: "), problem)

    def test_what_is_no_name_or_no_fingerprint_is_not_authorized(self) -> None:
        for fingerprint, name in ((ONE, "a b"), (ONE, ""), (ONE, f"x\n{TWO}"), ("SHA256:x", "anna"), ("", "anna")):
            error = str(self.assertRaises(SettingsError, self.clients.authorize, fingerprint, name))
            self.assertNotIn("\n", error)
        self.assertEqual(self.home.read(FILE_NAME), "")


class RevokeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.clients = AuthorizedClients(self.home)

    def test_with_nobody_there_it_says_so(self) -> None:
        error = str(self.assertRaises(LinkError, self.clients.revoke, "anna"))
        self.assertEqual(error, "there is no client 'anna'; no client is let in here")

    def test_a_name_that_nobody_has_lists_who_is_there(self) -> None:
        self.clients.authorize(ONE, "anna")
        self.clients.authorize(TWO, "ben")
        error = str(self.assertRaises(LinkError, self.clients.revoke, "cleo"))
        self.assertEqual(error, f"there is no client 'cleo'; the clients are: anna {ONE}, ben {TWO}")
        error = str(self.assertRaises(LinkError, self.clients.revoke, THREE))
        self.assertIn(f"there is no client '{THREE}'", error)

    def test_a_name_that_two_have_asks_for_the_fingerprint(self) -> None:
        self.clients.authorize(ONE, "anna")
        self.clients.authorize(TWO, "anna")
        error = str(self.assertRaises(LinkError, self.clients.revoke, "anna"))
        self.assertEqual(error, f"2 clients have that name, say which by its fingerprint: anna {ONE}, anna {TWO}")
        self.clients.revoke(ONE)
        self.assertEqual(self.clients.revoke("anna").fingerprint, TWO)

    def test_a_list_of_many_is_cut(self) -> None:
        for number in range(10):
            self.clients.authorize(fingerprint_of(b"%d" % number), "bot")
        error = str(self.assertRaises(LinkError, self.clients.revoke, "bot"))
        self.assertTrue(error.endswith(" and 2 more"), error)

    def test_what_looks_like_a_fingerprint_is_one(self) -> None:
        self.assertRaises(SettingsError, self.clients.revoke, "SHA256:anna")


class RefreshTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.clients = AuthorizedClients(self.home)
        self.others = AuthorizedClients(Home(self.home.path))

    def test_what_another_program_changed_is_seen_once(self) -> None:
        self.assertFalse(self.clients.refresh())
        self.others.authorize(ONE, "anna")
        self.assertIsNone(self.clients.lookup(ONE))
        self.assertEqual((self.clients.refresh(), self.clients.refresh()), (True, False))
        self.assertEqual(self.clients.lookup(ONE), AuthorizedClient(ONE, "anna"))
        self.others.revoke("anna")
        self.assertTrue(self.clients.refresh())
        self.assertEqual(self.clients.lookup(ONE), AuthorizedClient(ONE, "anna", revoked=True))

    def test_a_file_that_was_deleted_lets_nobody_in(self) -> None:
        self.clients.authorize(ONE, "anna")
        self.clients.path.unlink()
        self.assertTrue(self.clients.refresh())
        self.assertIsNone(self.clients.lookup(ONE))

    def test_a_file_that_cannot_be_read_changes_nothing_and_is_told_each_time(self) -> None:
        self.clients.authorize(ONE, "anna")
        self.clients.path.unlink()
        self.clients.path.mkdir()
        self.assertRaises(SettingsError, self.clients.refresh)
        self.assertRaises(SettingsError, self.clients.refresh)
        self.assertIsNotNone(self.clients.lookup(ONE))

    def test_a_change_starts_from_what_others_changed(self) -> None:
        self.others.authorize(ONE, "anna")
        self.clients.authorize(TWO, "ben")
        self.others.revoke("ben")
        self.assertEqual(self.home.read(FILE_NAME), f"{ONE} anna\n@revoked {TWO} ben\n")

    def test_changes_made_at_the_same_time_are_all_kept(self) -> None:
        def authorize(number: int) -> None:
            AuthorizedClients(Home(self.home.path)).authorize(fingerprint_of(b"%d" % number), f"client{number}")

        threads = [threading.Thread(target=authorize, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.clients.refresh()
        self.assertEqual(len(self.clients.clients()), 12)


class HostileFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")

    @given(file_texts)
    def test_no_text_of_the_file_is_an_error_and_no_change_touches_other_keys(self, text: str) -> None:
        self.home.ensure()
        (self.home.path / FILE_NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
        clients = AuthorizedClients(self.home)
        for problem in clients.problems():
            problem.encode()  # it can be printed
            self.assertEqual(len(problem.split("\n")), 1)
        others = [client for client in clients.clients() if client.fingerprint != ONE]
        clients.authorize(ONE, "anna")
        self.assertTrue(clients.revoke(ONE).revoked)
        again = AuthorizedClients(self.home)
        self.assertEqual([client for client in again.clients() if client.fingerprint != ONE], others)
        self.assertEqual(again.clients(), clients.clients())
