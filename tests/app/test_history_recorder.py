"""What becomes of a server's heartbeats, files and events: rows of history, a minute at a time."""

from __future__ import annotations

from typing import Any

from bittrrt.app import history_minute
from bittrrt.app.history_minute import MAX_EVENTS, MAX_NAMED
from bittrrt.app.history_recorder import MAX_BEGUN, ServerRecorder
from bittrrt.app.watch import Watch
from bittrrt.errors import NotAFile
from bittrrt.files.history import Peer
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.net.tally import FileProgress
from bittrrt.wire.datagram import PortType
from bittrrt.wire.messages import CloseReason, Open
from tests.net.simulated_link import EXPORTER, NOW_MS, SimulatedLinkTestCase

from .fake_writer import FakeWriter

FIRST_MINUTE = NOW_MS // 60_000 * 60_000  # twenty seconds before the network begins


def progress(name: str, size: int) -> FileProgress:
    return FileProgress(name, size, 0, lambda: 0)


class RecorderTestCase(SimulatedLinkTestCase):
    def setUp(self) -> None:
        super().setUp()

        def make_writer(*args: Any, **more: Any) -> Any:
            self.writer = FakeWriter(*args, **more)
            return self.writer

        watch = Watch(self.server)
        self.recorder = ServerRecorder(self.server, watch, self.server_home, self.network, print, make_writer)
        self.recorder.start()

    @property
    def anna(self) -> Peer:
        return Peer("client", "anna", self.client_identity.fingerprint)

    def next_minute(self) -> None:
        """Run until the wall's minute is over, and handed on."""
        self.network.run_for(60.1 - (NOW_MS / 1000 + self.network.seconds()) % 60)


class HeartbeatTests(RecorderTestCase):
    def test_a_minute_is_a_row_a_port(self) -> None:
        self.open()
        self.next_minute()
        rows = self.writer.minutes()
        self.assertEqual([row.port for row in rows], ["ctrl", "up", "dn"])
        self.assertEqual(self.writer.counted, [4])
        for row in rows:
            self.assertEqual((row.peer, row.link, row.at_ms), (self.anna, self.session.link_id, FIRST_MINUTE))
            self.assertEqual((row.answered, row.lost), (41, 0))  # one a second, and the first at once
            times = [row.min_ms, row.p5_ms, row.p25_ms, row.median_ms, row.p75_ms, row.p95_ms, row.p99_ms, row.max_ms]
            self.assertEqual(times, sorted(time or 0.0 for time in times))
            self.assertGreater(row.min_ms or 0.0, 0.0)
            self.assertLess(abs((row.clock_offset_ms or 0.0) - 5000), row.clock_error_ms or 0.0)

    def test_minutes_follow_one_another_by_the_clock_on_the_wall(self) -> None:
        self.open()
        for _ in range(3):
            self.next_minute()
        self.assertEqual({row.at_ms - FIRST_MINUTE for row in self.writer.minutes()}, {0, 60_000, 120_000})
        self.assertEqual([row.answered for row in self.writer.minutes()], [41] * 3 + [60] * 6)

    def test_a_dead_port_is_a_row_of_losses_without_times(self) -> None:
        connection = self.open()
        self.next_minute()
        self.network.blocked_from = {connection.ports[PortType.DN]}
        self.network.run_for(10.0)
        self.next_minute()
        self.network.run_for(1.0)
        self.next_minute()
        last = {row.port: row for row in self.writer.minutes()}
        dn = last["dn"]
        self.assertEqual((last["ctrl"].lost, last["up"].lost, dn.answered), (0, 0, 0))
        self.assertGreater(dn.lost, 50)
        self.assertEqual((dn.min_ms, dn.median_ms, dn.max_ms), (None, None, None))

    def test_a_session_that_nobody_hears_has_no_rows(self) -> None:
        connection = self.open()
        self.next_minute()
        connection.close()
        self.next_minute()
        before = len(self.writer.minutes())
        self.next_minute()
        self.next_minute()
        self.assertEqual(len(self.writer.minutes()), before)

    def test_the_end_of_the_server_hands_on_what_there_is(self) -> None:
        self.open()
        self.network.run_for(5.5)
        self.recorder.stop()
        self.assertEqual([row.answered for row in self.writer.minutes()], [6, 6, 6])
        self.assertEqual(self.writer.calls, ["start", "close"])
        self.sweeping.stop()
        self.server.close()
        self.network.run_for(1.0)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_it_keeps_as_long_as_the_setting_says(self) -> None:
        self.assertEqual(self.writer.days, 30)


class EventTests(RecorderTestCase):
    def test_what_the_watch_tells_is_recorded_with_its_time(self) -> None:
        connection = self.open()
        self.network.run_for(2.0)
        connection.close()
        self.next_minute()
        self.assertEqual([event.kind for event in self.writer.events()], ["opened", "ended", "recycled"])
        opened, ended, _ = self.writer.events()
        self.assertEqual((opened.at_ms, opened.role, opened.name), (NOW_MS, "client", "anna"))
        self.assertEqual(ended.text, "anna's session ended: said goodbye")

    def test_events_of_a_minute_are_bounded_and_the_rest_is_counted(self) -> None:
        for _ in range(MAX_EVENTS + 25):
            self.server.open(Open(CommEncryptor().get_public_key()), "SHA256:" + "x" * 43, EXPORTER)
        self.next_minute()
        *events, last = self.writer.events()
        self.assertEqual(({event.kind for event in events}, len(events)), ({"refused"}, MAX_EVENTS))
        self.assertEqual((last.kind, last.text), ("more", "and 25 more in this minute"))

    def test_sessions_of_one_key_in_a_minute_are_bounded_and_that_is_told(self) -> None:
        most = 4 * self.settings.max_sessions_per_key
        for number in range(most + 3):
            self.server.open(Open(CommEncryptor().get_public_key()), self.client_identity.fingerprint, EXPORTER)
            session = self.session
            session.heartbeat_measured(session.conn.up_handler, 0.02)
            session.heartbeat_measured(session.conn.up_handler, 0.02)
            self.server.close_session(session, CloseReason.GOODBYE)
            self.network.run_for(0.5 if number % 2 else 11.0 if number == 8 else 0.0)
        self.assertEqual(self.writer.minutes(), [])
        self.next_minute()
        self.assertEqual((len(self.writer.minutes()), self.writer.pauses), (most, 1))
        self.assertEqual(
            self.writer.events()[-1].text,
            "anna has too many sessions in a minute: 6 heartbeats or files are not counted",
        )


class FileTests(RecorderTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()

    def test_a_large_file_is_a_row_with_the_time_that_it_took(self) -> None:
        large = progress("a <b>", 5_000_000)
        self.session.file_begun("put", large)
        self.network.run_for(2.5)
        self.session.file_done("put", large)
        self.next_minute()
        (row,) = self.writer.transfers()
        self.assertEqual(
            (row.peer, row.direction, row.name, row.files, row.bytes), (self.anna, "put", "a <b>", 1, 5_000_000)
        )
        self.assertEqual((row.seconds, row.at_ms), (2.5, NOW_MS + 2500))

    def test_small_files_and_failures_are_one_row_a_direction(self) -> None:
        for number in range(1000):
            self.session.file_done("get", progress(f"{number}", 100))
        self.session.file_failed("get", NotAFile("x: no such file"))
        self.session.file_done("put", progress("one", 7))
        self.next_minute()
        counted = [(row.direction, row.name, row.files, row.bytes, row.failed) for row in self.writer.transfers()]
        self.assertEqual(counted, [("get", "", 1000, 100_000, 1), ("put", "", 1, 7, 0)])

    def test_rows_of_large_files_are_bounded_and_none_is_lost_from_the_sums(self) -> None:
        for number in range(MAX_NAMED + 40):
            self.session.file_done("put", progress(f"{number}", 1_000_000))
        self.next_minute()
        self.assertEqual(len(self.writer.transfers()), MAX_NAMED + 1)
        self.assertEqual(sum(row.bytes for row in self.writer.transfers()), (MAX_NAMED + 40) * 1_000_000)

    def test_what_has_begun_is_remembered_within_bounds_and_forgotten_with_the_session(self) -> None:
        for number in range(MAX_BEGUN + 50):
            self.session.file_begun("get", progress(f"{number}", 2_000_000))
        self.assertEqual(len(self.recorder._begun[self.session.link_id]), MAX_BEGUN)
        self.server.close_session(self.session, CloseReason.GOODBYE)
        self.assertEqual(self.recorder._begun, {})

    def test_a_name_is_cut_where_it_is_too_long(self) -> None:
        self.session.file_done("put", progress("x" * 4000, 3_000_000))
        self.next_minute()
        self.assertEqual(len(self.writer.transfers()[0].name), history_minute.MAX_TEXT)
