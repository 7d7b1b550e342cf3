"""Invites: each once, in its time, and nothing on the disk that lets anybody in."""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import InviteRejected, SettingsError
from bittrrt.files.home import Home
from bittrrt.files.invites import FILE_NAME, KEPT_AFTER_END, MAX_LIFETIME, MAX_OPEN, Invites
from bittrrt.wire.invite import verifier_of
from tests.files.test_home import disk_that_takes

NOW = 1_700_000_000.25
HOUR = 3600.0


class InvitesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.invites = Invites(self.home)
        self.random = Random(1)
        self.let_in: list[str] = []

    def redeem(self, verifier: str, now: float) -> str:
        return self.invites.redeem(verifier, now, self.let_in.append)

    def make(self, name: str = "anna", lifetime: float = HOUR, now: float = NOW) -> str:
        return verifier_of(self.invites.make(name, lifetime, now, self.random.randbytes))

    def redeem_error(self, verifier: str, now: float = NOW) -> str:
        return str(self.assertRaises(InviteRejected, self.redeem, verifier, now))

    def test_the_file_says_what_was_made_and_holds_no_token(self) -> None:
        token = self.invites.make("anna", HOUR, NOW)
        self.assertEqual(len(token), 16)
        self.assertEqual(self.home.read(FILE_NAME), f"{verifier_of(token)} expires=1700003601 name=anna\n")

    def test_the_token_comes_from_the_random_source_given(self) -> None:
        self.assertEqual(self.invites.make("", HOUR, NOW, Random(7).randbytes), Random(7).randbytes(16))

    def test_it_works_once_and_gives_the_owners_name(self) -> None:
        named, unnamed = self.make("anna=x"), self.make("")
        self.assertEqual(self.redeem(named, NOW), "anna=x")
        self.assertEqual(self.redeem(unnamed, NOW), "")
        self.assertEqual(self.let_in, ["anna=x", ""])
        for verifier in (named, unnamed):
            self.assertEqual(
                self.redeem_error(verifier),
                "this link was used already: ask for a new one (bittrrt invite), each works once",
            )

    def test_that_it_was_used_is_on_the_disk(self) -> None:
        verifier = self.make()
        self.redeem(verifier, NOW)
        self.assertEqual(self.home.read(FILE_NAME), f"@used {verifier} expires=1700003601 name=anna\n")
        self.assertRaises(InviteRejected, Invites(Home(self.home.path)).redeem, verifier, NOW, self.let_in.append)

    def test_on_a_full_disk_it_lets_nobody_in_and_stays_open(self) -> None:
        verifier = self.make()
        with disk_that_takes(10):
            self.assertRaises(SettingsError, self.redeem, verifier, NOW)
        self.assertEqual(self.redeem(verifier, NOW), "anna")

    def test_whom_it_lets_in_is_written_with_it_or_it_stays_open(self) -> None:
        verifier = self.make()

        def let_in(name: str) -> None:
            self.home.write("who", name)
            self.assertEqual(self.home.read("who"), "")  # until the end of it
            with disk_that_takes(2):
                self.home.write("who", f"{name} and others")

        self.assertRaises(SettingsError, self.invites.redeem, verifier, NOW, let_in)
        self.assertEqual(self.home.read("who"), "")
        self.assertEqual(self.invites.redeem(verifier, NOW, lambda name: self.home.write("who", name)), "anna")
        self.assertEqual(self.home.read("who"), "anna")

    def test_it_expires(self) -> None:
        verifier = self.make()
        self.assertEqual(
            self.redeem_error(verifier, NOW + HOUR + 1), "this link has expired: ask for a new one (bittrrt invite)"
        )
        self.assertEqual(self.redeem(verifier, NOW + HOUR), "anna")

    def test_one_never_made_is_not_known(self) -> None:
        self.make()
        for verifier in (verifier_of(bytes(16)), "", "expires=", "@used"):
            self.assertEqual(
                self.redeem_error(verifier),
                "this server does not know this link: ask its owner for a new one (bittrrt invite)",
            )

    def test_a_line_goes_a_day_after_its_end(self) -> None:
        used, unused = self.make("used"), self.make("unused")
        self.redeem(used, NOW)
        end = NOW + HOUR + KEPT_AFTER_END
        self.make("young", now=end)
        self.assertIn("used already", self.redeem_error(used, end))
        self.assertIn("expired", self.redeem_error(unused, end))
        young = self.make("younger", now=end + 2)
        self.assertIn("does not know", self.redeem_error(used, end + 2))
        self.assertEqual(len(self.home.read_lines(FILE_NAME)), 2)
        self.assertEqual(self.redeem(young, end + 2), "younger")

    def test_lines_that_are_no_invite_are_kept_and_let_nobody_in(self) -> None:
        verifier = self.make()
        lines = ["# ours", "", f"{verifier} expires=never name=x", f"{verifier} expires=1700009999", "@used"]
        self.home.write_lines(FILE_NAME, lines)
        self.assertIn("does not know", self.redeem_error(verifier))
        other = self.make("ben")
        self.redeem(other, NOW)
        self.assertEqual(self.home.read_lines(FILE_NAME)[:-1], lines)

    def test_one_line_that_says_used_is_enough(self) -> None:
        verifier = self.make()
        line = self.home.read_lines(FILE_NAME)[0]
        self.home.write_lines(FILE_NAME, [line, f"@used {line}"])
        self.assertIn("used already", self.redeem_error(verifier))

    def test_a_name_or_lifetime_that_cannot_be_makes_none(self) -> None:
        for name, lifetime in (
            ("a b", HOUR),
            ("a\nb", HOUR),
            ("x" * 65, HOUR),
            ("", 0),
            ("", -1),
            ("", MAX_LIFETIME + 1),
            ("", float("inf")),
            ("", float("nan")),
        ):
            error = str(self.assertRaises(SettingsError, self.invites.make, name, lifetime, NOW))
            self.assertNotIn("\n", error)
        self.assertEqual(self.home.read(FILE_NAME), "")

    def test_a_thousand_are_open_at_most(self) -> None:
        line = "{:043d} expires={:.0f} name="
        full = [line.format(number, NOW + HOUR) for number in range(MAX_OPEN)]
        self.home.write_lines(FILE_NAME, full)
        error = str(self.assertRaises(SettingsError, self.invites.make, "", HOUR, NOW))
        self.assertEqual(
            error, f"1000 links are open: wait until some expire, or delete lines in {self.home.path}/invites"
        )
        self.home.write_lines(FILE_NAME, [f"@used {full[0]}", *full[1:]])
        self.make()
        self.assertEqual(len(self.home.read_lines(FILE_NAME)), MAX_OPEN + 1)

    def test_of_those_who_come_at_the_same_time_one_gets_in(self) -> None:
        verifier = self.make()
        results: list[str] = []

        def redeem() -> None:
            try:
                results.append(Invites(Home(self.home.path)).redeem(verifier, NOW, self.let_in.append))
            except InviteRejected:
                results.append("rejected")

        threads = [threading.Thread(target=redeem) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(results), ["anna"] + ["rejected"] * 7)

    @given(st.text(), st.text(max_size=50))
    def test_no_text_of_the_file_and_no_verifier_is_another_error(self, text: str, verifier: str) -> None:
        self.home.ensure()
        (self.home.path / FILE_NAME).write_text(text, encoding="utf-8")
        self.assertRaises(InviteRejected, self.redeem, verifier, NOW)
