"""Where a put goes: into a folder or to a new name, as the server finds it, without being asked before."""

from __future__ import annotations

from random import Random

from bittrrt.files.root import Place
from bittrrt.files.supply import FileToSend, Supply
from bittrrt.net.offered import SendJob
from bittrrt.net.transfer_jobs import Put
from bittrrt.wire.transfer_messages import (
    Accept,
    Cancel,
    Look,
    Offer,
    Refuse,
    Settle,
    Skip,
    TransferMessage,
    encode_transfer_message,
)
from tests.net.fake_plane import Session, TransferTestCase, heard_from
from tests.net.test_transfer_limits import HOSTILE
from tests.net.test_transfers import tree_of, write

SAMPLE = bytes(16)


class OneFileTests(TransferTestCase):
    def put_one(self, to: str, **options: bool) -> list[TransferMessage]:
        """Put `a` in a session of its own; what the client said."""
        session = self.connect()
        heard = heard_from(session.client_plane)
        self.finish(self.put("a", to=to, **options), session)
        return heard

    def test_it_goes_into_a_folder_or_to_a_new_name_and_nobody_looks_before(self) -> None:
        write(self.here / "a", b"1" * 100_000)
        (self.there / "folder").mkdir()
        (self.there / "link").symlink_to("folder")
        for to, arrived in (("folder", "folder/a"), ("folder/b", "folder/b"), ("c", "c")):
            for recursive in (False, True):
                heard = self.put_one(to, recursive=recursive)
                self.assertFalse([message for message in heard if isinstance(message, Look)])
                self.assertEqual((self.there / arrived).read_bytes(), b"1" * 100_000)
        self.put_one("link", overwrite=True)
        self.assertTrue((self.there / "link").is_symlink())
        self.assertEqual(self.problems, [])

    def test_people_see_the_name_that_it_gets(self) -> None:
        write(self.here / "a", b"1" * 100_000)
        (self.there / "folder").mkdir()
        session = self.connect()
        job = self.put("a", to="folder")
        job.begin(session.client)
        self.wait_for(lambda: bool(session.server.under_way() and job.tally.under_way))
        shown = [progress.name for _, _, progress in session.server.under_way()]
        self.assertEqual((shown, self.events), (["folder/a"], [("begun", "folder/a")]))
        self.wait_for(lambda: job.finished.called)
        self.put_one("folder")
        self.put_one("b")
        self.assertEqual(
            self.events,
            [("begun", "folder/a"), ("done", "folder/a"), ("skipped", "folder/a"), ("begun", "b"), ("done", "b")],
        )

    def test_what_is_there_already_stays(self) -> None:
        write(self.here / "a", b"new")
        write(self.there / "folder" / "a", b"old", mtime_ns=1)
        self.put_one("folder")
        self.put_one("folder/a")
        self.assertEqual(self.problems, ["folder/a: is there already; say --overwrite to replace it"] * 2)

    def put_over_two_sessions(self, to: str) -> tuple[Put, list[tuple[str, str]]]:
        """Put `a`, and lose the session on the way; where it is offered in the second one."""
        write(self.here / "a", Random(1).randbytes(3_000_000))
        session = self.connect()
        job = self.put("a", to=to)
        job.begin(session.client)
        self.wait_for(lambda: session.client_plane.bytes_sent > 1_000_000)
        self.lose(session, job)
        again = self.connect()
        heard = heard_from(again.client_plane)
        self.finish(job, again)
        return job, [(offer.name, offer.inside) for offer in heard if isinstance(offer, Offer)]

    def test_a_lost_session_goes_on_at_the_same_place(self) -> None:
        _, offered = self.put_over_two_sessions("new")
        self.assertEqual(offered, [("new", "")])
        self.assertEqual(sorted(tree_of(self.there)), ["new"])

    def test_a_lost_session_does_not_leave_the_folder_that_it_had_found(self) -> None:
        (self.there / "folder").mkdir()
        job, offered = self.put_over_two_sessions("folder")
        self.assertEqual(offered, [("folder/a", "")])
        self.assertEqual(sorted(tree_of(self.there)), ["folder", "folder/a"])
        self.assertGreater(job.tally.resumed, 0)

    def test_a_client_that_comes_back_takes_over_what_went_into_a_folder(self) -> None:
        write(self.here / "a", Random(1).randbytes(3_000_000))
        (self.there / "folder").mkdir()
        session = self.connect()
        self.put("a", to="folder").begin(session.client)
        self.wait_for(lambda: session.client_plane.bytes_sent > 1_000_000)
        self.finish(self.put("a", to="folder"))
        self.assertEqual(sorted(tree_of(self.there)), ["folder", "folder/a"])
        self.assertEqual(self.problems[-1:], ["folder/a: another session of this client goes on with it"])

    def test_a_name_that_is_not_utf8_is_no_matter_where_it_gets_another(self) -> None:
        write(self.here / "b\udcff", b"b")
        self.finish(self.put("b\udcff", to="b"))
        self.assertEqual((self.there / "b").read_bytes(), b"b")

    def test_a_folder_is_asked_about_as_all_names_in_it_begin_with_its_own(self) -> None:
        write(self.here / "tree" / "x", b"x")
        (self.there / "folder").mkdir()
        self.finish(self.put("tree", to="folder"))
        self.finish(self.put("tree", to="new"))
        self.assertEqual(sorted(tree_of(self.there)), ["folder", "folder/tree", "folder/tree/x", "new", "new/x"])


class TargetFolderTests(TransferTestCase):
    def test_one_that_is_there_stays_as_it_is_and_a_new_one_is_made(self) -> None:
        write(self.here / "a", b"1")
        write(self.here / "b", b"2")
        (self.there / "old").mkdir(mode=0o700)
        for to in ("old/", "new/", "old/inner"):
            session = self.connect()
            heard = heard_from(session.client_plane)
            self.finish(self.put("a", "b", to=to), session)
            self.assertFalse([message for message in heard if isinstance(message, Look | Settle)])
        self.assertEqual(self.problems, [])
        for name, mode in (("old", 0o700), ("new", 0o755), ("old/inner", 0o755)):
            self.assertEqual((self.there / name).stat().st_mode & 0o777, mode, name)
            self.assertTrue((self.there / name / "b").is_file())

    def test_without_one_the_put_ends_in_one_line(self) -> None:
        write(self.here / "a", b"1" * 100_000)
        write(self.there / "target", b"1")
        write(self.there / "closed" / "x", b"1")
        for names, to, line in (
            (("a", "a"), "target", "target: a file at the server, where a folder has to be; choose another name"),
            (("a",), "target/", "target: a file at the server, where a folder has to be; choose another name"),
            (
                ("a",),
                "target/inner/",
                "target/inner: a file at the server, where a folder has to be; choose another name",
            ),
            (("a",), "no/such/", "no/such: no such file or folder"),
            (("a",), "../", "'..': '.' and '..' are not names; rename it"),
            (("a",), "b\udcff/", "'b\\udcff': its name is not UTF-8; rename it"),
        ):
            session = self.connect()
            job = self.put(*names, to=to)
            job.begin(session.client)
            self.wait_for(lambda job=job: job.finished.called)  # type: ignore[misc]
            self.assertEqual(self.failureResultOf(job.finished).getErrorMessage(), line)
            self.assertFalse(session.client.offerer.busy)
            session.lose()
        self.assertEqual(self.problems, [])
        self.assertEqual(sorted(tree_of(self.there)), ["closed", "closed/x", "target"])


class HostileTests(TransferTestCase):
    def said_to(self, session: Session, message: TransferMessage) -> None:
        session.client.control_received(encode_transfer_message(message))

    def test_hostile_names_inside_a_folder_change_nothing(self) -> None:
        (self.there / "folder").mkdir()
        (self.there / "folder" / "link").symlink_to(self.here)
        session = self.connect()
        heard = heard_from(session.server_plane)
        names = [*(name for name in HOSTILE if name), "a/b", "..", "link/x", "folder/a"]
        for number, name in enumerate(names):
            offer = Offer(2 * number + 1, 1, "folder", 1, 1, 0o600, SAMPLE, inside=name)
            session.server.control_received(encode_transfer_message(offer))
        self.wait_for(lambda: len(heard) == len(names))
        self.assertEqual({type(message) for message in heard}, {Refuse})
        self.assertEqual(sorted(tree_of(self.there)), ["folder", "folder/link"])
        self.assertEqual(tree_of(self.here), {})

    def test_what_is_inside_of_nothing_acceptable_is_refused(self) -> None:
        (self.there / "out").symlink_to(self.here)
        session = self.connect()
        heard = heard_from(session.server_plane)
        for number, name in enumerate(("..", "/", "out", "", "a/../..")):
            offer = Offer(2 * number + 1, 1, name, 1, 1, 0o600, SAMPLE, inside="x")
            session.server.control_received(encode_transfer_message(offer))
        self.wait_for(lambda: len(heard) == 5)
        self.assertEqual([type(message) for message in heard], [Refuse, Refuse, Refuse, Accept, Refuse])
        self.assertEqual(tree_of(self.here), {})

    def test_a_server_has_nothing_to_choose(self) -> None:
        (self.here / "wanted").mkdir()
        source = write(self.there / "wanted" / "in", b"good" * 1_000_000)
        session = self.connect()
        get = self.get("wanted")
        get.begin(session.client)
        item = FileToSend("wanted", 4, lambda: Place.of_path(source), ".bashrc")
        job = SendJob(2, Supply([item]), self.tally(), lambda error: self.problems.append(str(error)))
        session.server.offerer.add(job)
        self.wait_for(lambda: job.finished.called)
        self.assertIn("'.bashrc': the server offers a file under two names; not taken", self.problems)
        self.wait_for(lambda: get.finished.called)
        self.assertEqual(sorted(tree_of(self.here)), ["wanted", "wanted/in"])

    def test_a_server_that_chooses_what_it_was_not_offered_ends_the_session(self) -> None:
        write(self.here / "a", b"a" * 100_000)
        for answer in (Accept(1, (), True), Skip(1, True)):
            session = self.connect()
            heard = heard_from(session.client_plane)
            self.put("a").begin(session.client)
            self.wait_for(lambda heard=heard: bool(heard))  # type: ignore[misc]
            self.said_to(session, answer)
            self.assertEqual(len(session.violations), 1, answer)
            self.assertIn("was not offered so", session.violations[0])
            self.assertFalse([message for message in heard if isinstance(message, Cancel)])
