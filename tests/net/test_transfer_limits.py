"""What a transfer must not do: rights, quotas, full disks, hostile names and hostile ends."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import FileMissing, MalformedMessage, NameRefused, NotAFile
from bittrrt.files.disk import Chunk, Disk
from bittrrt.files.root import Place
from bittrrt.files.supply import FileToSend, FolderToSend, Item, Supply
from bittrrt.net.offered import SendJob
from bittrrt.wire.spans import SpanSet
from bittrrt.wire.transfer_messages import (
    MAX_SPANS,
    Accept,
    Done,
    Fetch,
    Finish,
    Look,
    Offer,
    Problem,
    Reason,
    encode_transfer_message,
    line_of,
    parse_transfer_message_untrusted,
    read_spans_untrusted,
    tell_spans,
)
from tests.net.fake_plane import Session, TransferTestCase
from tests.net.test_transfers import tree_of, write

HOSTILE = ("../x", "/x", "a/../../x", "link/x", "x\0y", "x" * 256, "CON", "a\u2215b", ".bittrrt-x", "a//b", "")


class FullDisk(Disk):
    """Every write fails."""

    def write(self, descriptor: int, chunks: Sequence[Chunk], offset: int) -> None:
        raise OSError(errno.ENOSPC, "full")


class RightsTests(TransferTestCase):
    def test_who_may_only_read_cannot_put_and_who_may_only_write_cannot_get_or_list(self) -> None:
        write(self.here / "a", b"a")
        write(self.there / "b", b"b")
        self.finish(self.put("a"), self.connect(read=""))
        self.finish(self.get("b"), self.connect(write=""))
        self.assertIn("may not write files here", self.problems[0])
        self.assertIn("may not read files here", self.problems[1])
        self.finish(self.put("a", to="new/"), self.connect(write=""))
        self.assertEqual(sorted(tree_of(self.there)), ["b", "new", "new/a"])

    def test_a_client_with_a_folder_sees_nothing_else(self) -> None:
        write(self.here / "a", b"a")
        write(self.there / "secret", b"s")
        self.finish(self.put("a"), self.connect(folder="anna/inner"))
        self.assertEqual((self.there / "anna" / "inner" / "a").read_bytes(), b"a")
        self.finish(self.get("secret"), self.connect(folder="anna/inner"))
        self.assertIn("no such file", self.problems[0])

    def test_a_quota_is_for_all_sessions_together_and_freed_by_what_fails(self) -> None:
        write(self.here / "a", b"a" * 600)
        write(self.here / "b", b"b" * 600)
        self.finish(self.put("a", "b"), self.connect(quota="1K"))
        self.assertEqual(
            self.problems,
            ["b: needs 600 bytes, and the quota has 424 left; remove files there, or ask the server's owner for more"],
        )
        self.finish(self.put("b"), self.connect("SHA256:other", quota="1K"))
        self.assertEqual(len(self.problems), 2)
        (self.there / "a").unlink()
        for session in self.sessions:
            session.lose()
        self.clock.pump([0.01] * 100)
        self.finish(self.put("b"), self.connect(quota="1K"))
        self.assertEqual(len(self.problems), 2)

    def test_rights_that_cannot_be_read_allow_nothing(self) -> None:
        write(self.here / "a", b"a")
        self.finish(self.put("a"), self.connect(qouta="1K"))
        self.assertIn("cannot read this client's rights", self.problems[0])

    def test_a_full_disk_is_told_and_the_session_goes_on(self) -> None:
        write(self.here / "big", Random(1).randbytes(2_000_000))
        session = self.connect()
        job = self.put("big")
        job.begin(session.client)
        self.wait_for(lambda: session.client_plane.bytes_sent > 500_000)
        sink = next(iter(session.server_plane.receiving.values()))[0]
        sink._disk = FullDisk()  # type: ignore[attr-defined]
        self.wait_for(lambda: job.finished.called)
        self.assertEqual(
            self.problems,
            ["big: the receiver's disk is full; free some space there and try again; what has arrived is kept"],
        )
        self.finish(self.put("big"), session)
        self.assertEqual(tree_of(self.there), tree_of(self.here))


class UnsayableNameTests(TransferTestCase):
    """Names that no message can carry, of this end's own user."""

    def test_a_path_that_is_not_utf8_or_too_long_is_refused_before_anything_is_said(self) -> None:
        session = self.connect()
        for path, line in (("b\udcff", "'b\\udcff': its name is not UTF-8"), ("n/" * 2500, "too long to be sent")):
            job = self.get(path)
            with self.assertRaisesRegex(NameRefused, re.escape(line)):
                job.begin(session.client)
            with self.assertRaisesRegex(NameRefused, re.escape(line)):
                session.client.look(path)
            with self.assertRaisesRegex(NameRefused, re.escape(line)):
                session.client.list_folder(path, lambda _: None, lambda _: None)
        self.assertFalse(session.client_plane.closed)

    def test_a_source_whose_name_is_not_utf8_is_one_line_and_the_rest_arrives(self) -> None:
        write(self.here / "a", b"a")
        write(self.here / "b\udcff", b"b")
        tally = self.finish(self.put("b\udcff", "a"))
        self.assertEqual((tally.files, tally.failed), (1, 1))
        self.assertEqual(self.problems, ["'b\\udcff': its name is not UTF-8; rename it"])

    def test_a_line_with_a_path_that_is_not_utf8_can_be_told(self) -> None:
        self.assertEqual(line_of(FileMissing("b\udcff: no such file")), "b\\udcff: no such file")

    def test_a_look_that_was_answered_by_a_problem_does_not_fail_again_when_the_session_stops(self) -> None:
        session = self.connect()
        looked = session.client.look("a")
        session.client.told_untrusted(Problem(1, Reason.NOT_A_FILE, "a: not a folder"))
        self.failureResultOf(looked, NotAFile)
        session.lose()


class NothingSharedTests(TransferTestCase):
    shared = False

    def test_a_server_without_root_says_so(self) -> None:
        write(self.here / "a", b"a")
        self.finish(self.put("a"))
        self.finish(self.get("a"))
        self.assertEqual(self.problems, ["the server shares no files; its owner has to start it with --root DIR"] * 2)


class HostileTests(TransferTestCase):
    def offer(self, session: Session, items: list[Item], request: int) -> SendJob:
        """A hostile server's offers."""
        job = SendJob(request, Supply(items), self.tally(), lambda error: self.problems.append(str(error)))
        session.server.offerer.add(job)
        return job

    def test_hostile_names_from_a_client_change_nothing(self) -> None:
        source = write(self.here / "a", b"a")
        os.symlink(self.here, self.there / "link")
        put = self.put("a")
        session = self.connect()
        put.begin(session.client)
        items: list[Item] = []
        for name in HOSTILE:
            items += [FileToSend(name, 1, lambda: Place.of_path(source)), FolderToSend(name, 0o755, 0)]
        tally = self.tally()
        job = SendJob(7, Supply(items), tally, lambda error: self.problems.append(str(error)))
        session.client.offerer.add(job)
        self.wait_for(lambda: job.finished.called and put.finished.called)
        self.assertEqual((tally.files, tally.failed), (0, 2 * len(HOSTILE)))
        self.assertEqual((sorted(os.listdir(self.there)), os.listdir(self.here)), (["a", "link"], ["a"]))

    def test_a_server_writes_only_what_was_asked_for(self) -> None:
        source = write(self.there / "a", b"evil")
        write(self.there / "wanted" / "in", b"good")
        session = self.connect()
        get = self.get("wanted", recursive=True)
        get.begin(session.client)
        names = [".bashrc", "wanted/../x", "wantedx", "other/wanted", *HOSTILE]
        items: list[Item] = [FileToSend(name, 4, lambda: Place.of_path(source)) for name in names]
        job = self.offer(session, items, 1)
        self.wait_for(lambda: get.finished.called and job.finished.called)
        self.assertEqual(sorted(tree_of(self.here)), ["wanted", "wanted/in"])
        self.assertEqual(session.violations, [])

    def test_what_makes_no_sense_ends_the_session(self) -> None:
        for message in (
            b"rubbish",
            b"{}",
            encode_transfer_message(Offer(2, 0, "even", 1, 1, 0, b"x" * 16)),
            encode_transfer_message(Done(1))[:-1],
        ):
            session = self.connect()
            session.server.control_received(message)
            self.assertEqual(len(session.violations), 1, message)
            session.server.control_received(message)
            self.assertEqual(len(session.violations), 1)
        session = self.connect()
        session.client.control_received(encode_transfer_message(Look(1, "")))
        self.assertEqual(len(session.violations), 1)

    def test_answers_to_nothing_are_ignored_and_the_wrong_ones_end_the_session(self) -> None:
        session = self.connect()
        session.server.control_received(encode_transfer_message(Done(2)))
        session.server.control_received(encode_transfer_message(Finish(1, b"x" * 32)))
        self.assertEqual(session.violations, [])
        write(self.there / "a", b"a" * 100_000)
        get = self.get("a")
        get.begin(session.client)
        self.wait_for(lambda: bool(session.server_plane.control_sent))
        session.server.control_received(encode_transfer_message(Accept(2, ((5, 200_000),))))
        self.assertEqual(len(session.violations), 1)

    def test_a_flood_of_questions_is_answered_within_bounds(self) -> None:
        session = self.connect()
        for number in range(500):
            session.server.control_received(encode_transfer_message(Fetch(number, "nope")))
        self.assertLess(session.server_plane.control_backlog, 200_000)
        self.assertEqual(session.violations, [])


class MessageTests(SynchronousTestCase):
    @given(st.binary(max_size=200))
    def test_any_bytes_are_a_message_or_malformed(self, data: bytes) -> None:
        try:
            parse_transfer_message_untrusted(data)
        except MalformedMessage:
            return

    @settings(max_examples=50)
    @given(st.sets(st.integers(0, 2000), min_size=1))
    def test_spans_are_told_as_far_as_they_fit_the_largest_first(self, numbers: set[int]) -> None:
        spans = SpanSet((number, number) for number in numbers)
        told = read_spans_untrusted(tell_spans(spans), 2001)
        self.assertEqual(told.span_count, min(spans.span_count, MAX_SPANS))
        self.assertTrue(all(number in spans for number in told))
        self.assertLessEqual(len(encode_transfer_message(Accept(1, tell_spans(spans)))), 8192)

    def test_spans_out_of_order_or_beyond_the_end_are_malformed(self) -> None:
        for told in (((5, 3),), ((0, 1), (1, 2)), ((3, 4), (0, 1)), ((0, 10),)):
            self.assertRaises(MalformedMessage, read_spans_untrusted, told, 10)
