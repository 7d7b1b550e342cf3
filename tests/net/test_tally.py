"""What a transfer counts: what really crossed, over however many sessions, and what is no failure."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import LeftOut, NotAFile
from bittrrt.net.tally import FileProgress, Tally


class TallyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.told: list[str] = []
        self.tally = Tally(on_problem=lambda error: self.told.append(str(error)))
        self.moved = 0

    def begin(self, name: str, already: int) -> None:
        """A file of 100 bytes."""
        self.moved = already
        self.tally.begun(1, FileProgress(name, 100, already, lambda: self.moved))

    def test_what_crossed_is_what_was_not_there(self) -> None:
        self.begin("a", 30)
        self.moved = 70
        self.assertEqual((self.tally.moved(), self.tally.brought()), (70, 40))
        self.tally.done(1)
        self.assertEqual((self.tally.size, self.tally.brought(), self.tally.resumed), (100, 70, 30))

    def test_what_a_lost_session_brought_for_nothing_crossed_too(self) -> None:
        self.begin("a", 0)
        self.moved = 60
        self.tally.session_lost(all_again=False)
        self.assertEqual(self.tally.brought(), 60)
        self.begin("a", 58)
        self.assertEqual(self.tally.brought(), 60)
        self.tally.done(1)
        self.assertEqual((self.tally.brought(), self.tally.resumed), (102, 58))

    def test_a_file_that_had_come_further_than_was_known_counts_as_far_as_it_had(self) -> None:
        self.begin("a", 0)
        self.moved = 20
        self.tally.session_lost(all_again=False)
        self.begin("a", 50)
        self.tally.done(1)
        self.assertEqual((self.tally.brought(), self.tally.resumed), (100, 50))

    def test_only_the_last_resumption_of_a_file_counts(self) -> None:
        self.begin("a", 10)
        for reached in (40, 80):
            self.moved = reached
            self.tally.session_lost(all_again=False)
            self.begin("a", reached)
        self.tally.done(1)
        self.assertEqual((self.tally.brought(), self.tally.resumed), (90, 80))

    def test_a_file_that_had_arrived_when_the_session_was_lost_was_not_there_before(self) -> None:
        self.begin("a", 0)
        self.moved = 90
        self.tally.session_lost(all_again=False)
        self.tally.skip("a", 100)
        self.assertEqual((self.tally.files, self.tally.skipped, self.tally.brought()), (1, 0, 100))

    def test_what_failed_under_way_crossed_as_far_as_it_came(self) -> None:
        self.begin("a", 30)
        self.moved = 50
        self.tally.problem(NotAFile("a: gone"), 1)
        self.assertEqual((self.tally.failed, self.tally.brought()), (1, 20))

    def test_what_is_left_out_is_told_and_is_no_failure(self) -> None:
        self.tally.problem(LeftOut("a: left out, a symbolic link is not followed"))
        self.assertEqual((self.tally.left_out, self.tally.failed, len(self.told)), (1, 0, 1))

    def test_a_folder_that_fails_is_one_line_however_much_is_in_it(self) -> None:
        self.tally.problem(NotAFile("d: not a folder"), 1, name="d", is_folder=True)
        for name in ("d/a", "d/e", "d/e/f"):
            self.tally.problem(NotAFile(f"{name}: not a folder"), 1, name=name, is_folder=name == "d/e")
        self.tally.problem(NotAFile("da: something else"), 1, name="da")
        self.assertEqual(self.told, ["d: not a folder", "da: something else"])
        self.assertEqual(self.tally.failed, 5)
