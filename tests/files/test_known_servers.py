"""The pins of servers: found as people name them, kept as people wrote them, never replaced by another key."""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import ServerKeyChanged, ServerUnknown, SettingsError
from bittrrt.files.home import Home
from bittrrt.files.known_servers import FILE_NAME, KnownServer, KnownServers, key_changed_error
from bittrrt.wire.fingerprint import fingerprint_of

ONE, TWO = fingerprint_of(b"1"), fingerprint_of(b"2")

words = st.one_of(
    st.sampled_from(["lab:1", "lab", "[::1]:2", ":", "#", "@revoked", ONE, TWO, ONE[:-1], "\r", "\x85", "\udcff"]),
    st.text(max_size=8),
)
file_texts = st.lists(st.lists(words, max_size=4).map(" ".join), max_size=6).map("\n".join)


class KnownServersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.known = KnownServers(self.home)

    def test_a_server_never_joined_is_not_there(self) -> None:
        self.assertEqual(self.known.servers(), [])
        self.assertIsNone(self.known.lookup("lab", 6711))
        self.assertFalse(self.home.path.exists())

    def test_a_pin_is_a_line_that_people_can_read(self) -> None:
        self.known.pin("Lab.Example", 6711, ONE)
        self.known.pin("2001:DB8::7", 7000, TWO)
        self.assertEqual(self.home.read(FILE_NAME), f"lab.example:6711 {ONE}\n[2001:db8::7]:7000 {TWO}\n")
        self.assertEqual(
            [str(server) for server in self.known.servers()], [f"lab.example:6711 {ONE}", f"[2001:db8::7]:7000 {TWO}"]
        )

    def test_hosts_compare_in_any_spelling(self) -> None:
        self.home.write(FILE_NAME, f"LAB.Example:6711 {ONE}\n[2001:DB8:0::7]:7000 {TWO}\n")
        path = self.known.path
        self.assertEqual(self.known.lookup("lab.EXAMPLE", 6711), KnownServer("lab.example", 6711, ONE, 1, path))
        self.assertEqual(self.known.lookup("2001:db8::0:7", 7000), KnownServer("2001:db8::7", 7000, TWO, 2, path))
        self.assertIsNone(self.known.lookup("lab.example", 6712))

    def test_comments_blank_lines_and_lines_it_cannot_read_are_kept(self) -> None:
        text = f"# mine\n\nlab:1 {ONE}\n  # café\nrubbish\n"
        self.home.write(FILE_NAME, text)
        self.known.pin("other", 2, TWO)
        self.assertEqual(self.home.read(FILE_NAME), f"{text}other:2 {TWO}\n")
        self.assertEqual([server.line for server in self.known.servers()], [3, 6])

    def test_a_last_line_without_its_newline_stays_a_line(self) -> None:
        self.home.write(FILE_NAME, f"lab:1 {ONE}")
        self.known.pin("other", 2, TWO)
        self.assertEqual(len(self.known.servers()), 2)

    def test_lines_it_cannot_read_are_told(self) -> None:
        self.home.write(FILE_NAME, f"lab {ONE}\n# fine\nlab:1 {ONE} more\nlab:x {ONE}\nlab:1 SHA256:x\nlab:1 {ONE}\n")
        problems = self.known.problems()
        self.assertEqual([server.line for server in self.known.servers()], [6])
        self.assertEqual(len(problems), 4)
        for number, problem in zip((1, 3, 4, 5), problems, strict=True):
            self.assertTrue(problem.startswith(f"{self.known.path} line {number} is not used: "), problem)
            self.assertNotIn("\n", problem)

    def test_the_same_pin_again_changes_nothing(self) -> None:
        self.known.pin("lab", 1, ONE)
        before = self.home.signature(FILE_NAME)
        self.known.pin("LAB", 1, ONE)
        self.assertEqual(self.home.signature(FILE_NAME), before)

    def test_another_key_is_never_pinned_over_the_first(self) -> None:
        self.home.write(FILE_NAME, f"# mine\nlab:1 {ONE}\n")
        error = str(self.assertRaises(ServerKeyChanged, self.known.pin, "lab", 1, TWO))
        self.assertEqual(self.home.read(FILE_NAME), f"# mine\nlab:1 {ONE}\n")
        self.assertEqual(
            error,
            f"the key of lab:1 ({TWO}) is not the one pinned in {self.known.path} line 2: this can be an attack, or "
            "the server was set up anew; ask its owner, and only if they confirm it delete that line and join with a "
            "new link",
        )
        self.assertEqual(error, str(key_changed_error(self.known.servers()[0], TWO)))

    def test_a_second_line_for_a_server_does_not_replace_the_first(self) -> None:
        self.home.write(FILE_NAME, f"lab:1 {ONE}\nlab:1 {TWO}\n")
        found = self.known.lookup("lab", 1)
        self.assertEqual(found, self.known.servers()[0])
        self.assertRaises(ServerKeyChanged, self.known.pin, "lab", 1, TWO)

    def test_what_is_no_host_or_no_fingerprint_is_not_pinned(self) -> None:
        self.assertRaises(SettingsError, self.known.pin, "lab:1", 1, ONE)
        self.assertRaises(SettingsError, self.known.pin, "l ab", 1, ONE)
        self.assertRaises(SettingsError, self.known.pin, "lab", 1, "SHA256:x")
        self.assertRaises(SettingsError, self.known.lookup, "[::1]:1", 1)
        self.assertEqual(self.home.read(FILE_NAME), "")

    def test_pins_made_at_the_same_time_are_all_kept(self) -> None:
        threads = [
            threading.Thread(target=KnownServers(Home(self.home.path)).pin, args=(f"host{number}", 1, ONE))
            for number in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.known.servers()), 12)


class ResolveTests(SynchronousTestCase):
    def setUp(self) -> None:
        home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.known = KnownServers(home)
        for host, port in (
            ("both", 7000),
            ("both", 6711),
            ("odd", 7000),
            ("two", 7001),
            ("two", 7000),
            ("::1", 6711),
            ("::2", 9),
        ):
            self.known.pin(host, port, ONE)

    def test_what_people_write_finds_the_server_that_they_mean(self) -> None:
        for text, expected in {
            "both": ("both", 6711),
            "BOTH:7000": ("both", 7000),
            "odd": ("odd", 7000),
            "two:7001": ("two", 7001),
            "::1": ("::1", 6711),
            "0::1": ("::1", 6711),
            "[::1]": ("::1", 6711),
            "[::2]:9": ("::2", 9),
            "::2": ("::2", 9),
        }.items():
            server = self.known.resolve(text)
            self.assertEqual((server.host, server.port), expected, text)

    def test_a_server_that_is_not_known_is_told_how_to_be_joined(self) -> None:
        for text in ("other", "odd:6711", "[::1]:7"):
            error = str(self.assertRaises(ServerUnknown, self.known.resolve, text))
            self.assertEqual(
                error,
                f"{text} is not known here: ask its owner for a link (bittrrt invite), then run: bittrrt join LINK",
            )

    def test_a_host_with_several_ports_asks_which(self) -> None:
        error = str(self.assertRaises(ServerUnknown, self.known.resolve, "two"))
        self.assertEqual(error, "two is known here on 2 ports: say which, as one of two:7000, two:7001")

    def test_what_is_no_host_is_told_so(self) -> None:
        error = str(self.assertRaises(SettingsError, self.known.resolve, "lab:files"))
        self.assertEqual(error, "'lab:files' is not HOST, HOST:PORT or [IPv6]:PORT")


class HostileFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.known = KnownServers(self.home)

    @given(file_texts)
    def test_no_text_of_the_file_is_an_error(self, text: str) -> None:
        self.home.ensure()
        (self.home.path / FILE_NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
        servers = self.known.servers()
        for problem in self.known.problems():
            problem.encode()  # it can be printed
            self.assertEqual(len(problem.split("\n")), 1)
        if self.known.lookup("new", 3) is None:
            self.known.pin("new", 3, ONE)
            self.assertEqual(len(self.known.servers()), len(servers) + 1)
