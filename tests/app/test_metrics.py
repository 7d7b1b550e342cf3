"""What a server's metrics say, as Prometheus reads it: of sessions, datagrams, drops, files and refusals."""

from __future__ import annotations

from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from bittrrt.app.metrics import DROPS, TRAFFIC
from bittrrt.errors import DiskFull, NotAFile
from bittrrt.link.counters import Counters
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.net.tally import FileProgress
from bittrrt.wire.datagram import PortType
from bittrrt.wire.messages import CloseReason, Open, RefusalReason, Welcome
from tests.app.test_watch import FakeFiles
from tests.net.simulated_data import SimulatedDataTestCase
from tests.net.simulated_link import EXPORTER, with_seeds

from .metrics_case import MetricsTestCase

LABELS = {"direction", "error", "kind", "le", "outcome", "port", "python", "reason", "share", "state", "twisted"}
LABELS |= {"version"}


class ExpositionTests(MetricsTestCase):
    def test_it_parses_with_help_and_type_for_every_metric_in_both_formats(self) -> None:
        self.open()
        self.network.run_for(3.5)
        scrape = self.scrape()
        self.assertGreater(len(scrape.families), 35)
        for family in scrape.families:
            self.assertTrue(family.documentation, family.name)
            self.assertIn(family.type, {"counter", "gauge", "histogram"}, family.name)
        _, body = self.exposition("application/openmetrics-text")
        names = [family.name for family in parse_openmetrics(body.decode())]
        self.assertEqual(names, [name.removesuffix("_info") for name in scrape.types])

    def test_names_follow_prometheus_conventions(self) -> None:
        for family in self.scrape().families:
            self.assertRegex(family.name, r"^(bittrrt|process)(_[a-z]+)+$")
            self.assertNotRegex(family.name, r"_(ms|us|milliseconds|kb|percent|count|sum|bucket|total)$")
            if family.type == "histogram":
                self.assertTrue(family.name.endswith("_seconds"), family.name)
            for sample in family.samples:
                if family.type == "counter":
                    self.assertEqual(sample.name, family.name + "_total")
                elif family.type == "gauge":
                    self.assertFalse(sample.name.endswith("_total"), sample.name)

    def test_labels_are_of_our_own_making_and_never_who_or_where_a_client_is(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        text = self.exposition()[1].decode()
        address = str(self.session.conn.ctrl_handler.peer.address)
        for secret in ("anna", connection.link_id[:8], self.client_identity.fingerprint, address):
            self.assertNotIn(secret, text)
        self.assertLessEqual({label for _, labels in self.scrape().values for label, _ in labels}, LABELS)

    def test_more_sessions_make_no_more_series(self) -> None:
        self.open()
        self.network.run_for(2.5)
        before = set(self.scrape().values)
        for _ in range(3):
            self.open()
        self.network.run_for(2.5)
        self.assertEqual(set(self.scrape().values), before)

    def test_the_librarys_global_registry_is_left_alone(self) -> None:
        self.assertEqual([family.name for family in REGISTRY.collect() if "bittrrt" in family.name], [])


class SessionTests(MetricsTestCase):
    def test_heartbeats_are_counted_and_their_round_trips_measured_by_port(self) -> None:
        self.open()
        self.network.run_for(5.5)
        scrape = self.scrape()
        for port in ("ctrl", "up", "dn"):
            self.assertEqual(scrape("heartbeats_total", port=port, outcome="measured"), 6)
            self.assertEqual(scrape("heartbeats_total", port=port, outcome="lost"), 0)
            self.assertEqual(scrape("round_trip_seconds_count", port=port), 6)
            self.assertAlmostEqual(scrape("round_trip_seconds_sum", port=port), 6 * 0.02)
            self.assertEqual(scrape("round_trip_seconds_bucket", port=port, le="0.01"), 0)
            self.assertEqual(scrape("round_trip_seconds_bucket", port=port, le="0.03"), 6)
            self.assertEqual(scrape("jitter_seconds_count", port=port), 5)
            self.assertEqual(scrape("session_ports", port=port, state="alive"), 1)

    def test_a_port_that_nothing_comes_by_is_silent_and_loses(self) -> None:
        connection = self.open()
        self.assertEqual(self.scrape()("session_ports", port="dn", state="waiting"), 1)
        self.network.run_for(3.5)
        self.network.blocked_from = {connection.ports[PortType.DN]}
        self.network.run_for(6.0)
        scrape = self.scrape()
        self.assertGreater(scrape("heartbeats_total", port="dn", outcome="lost"), 1)
        self.assertEqual(scrape("session_ports_losing", port="dn", share="0.2"), 1)
        self.assertEqual(scrape("session_ports_losing", port="up", share="0.01"), 0)
        self.network.blocked_to = {connection.ports[PortType.UP]}
        self.network.run_for(3.0)
        states = [self.scrape()("session_ports", port="up", state=state) for state in ("waiting", "alive", "silent")]
        self.assertEqual(states, [0, 0, 1])

    def test_sessions_and_ports_are_counted_from_the_first_to_the_last(self) -> None:
        self.assertEqual(self.scrape()("sessions"), 0)
        connection = self.open()
        self.network.run_for(1.5)
        scrape = self.scrape()
        self.assertEqual((scrape("sessions"), scrape("sessions_opened_total")), (1, 1))
        self.assertEqual([scrape("ports", state=state) for state in ("free", "used", "resting")], [27, 3, 0])
        connection.close()
        self.network.run_for(0.5)
        scrape = self.scrape()
        self.assertEqual((scrape("sessions"), scrape("sessions_ended_total", reason="goodbye")), (0, 1))
        self.assertEqual([scrape("ports", state=state) for state in ("free", "used", "resting")], [27, 0, 3])
        self.assertEqual(scrape("events_total", kind="ended"), 1)

    def test_datagrams_are_those_that_the_ports_counted(self) -> None:
        self.open()
        self.network.run_for(4.5)
        scrape = self.scrape()
        for handler in self.session.conn.handlers:
            port, counters = handler.port_type.value, handler.counters
            self.assertGreater(counters.received, 0)
            self.assertEqual(scrape("datagrams_total", port=port, direction="received"), counters.received)
            self.assertEqual(scrape("datagrams_total", port=port, direction="sent"), counters.sent)
            self.assertEqual(scrape("datagram_bytes_total", port=port, direction="received"), counters.bytes_received)
            self.assertEqual(scrape("datagram_bytes_total", port=port, direction="sent"), counters.bytes_sent)


class DropTests(MetricsTestCase):
    def test_every_drop_appears_under_its_name_while_its_session_lives_and_after(self) -> None:
        connection = self.open()
        self.assertEqual(set(DROPS) | TRAFFIC, set(Counters.__slots__))
        self.network.run_for(0.5)
        for number, name in enumerate(DROPS):
            for shift, handler in enumerate(self.session.conn.handlers):
                setattr(handler.counters, name, 100 * (number + 1) + shift)

        def told() -> list[float]:
            scrape = self.scrape()
            return [scrape("datagrams_dropped_total", port=p.value, reason=name) for name in DROPS for p in PortType]

        expected = [100.0 * (number + 1) + shift for number in range(len(DROPS)) for shift in range(3)]
        self.assertEqual(told(), expected)
        connection.close()
        self.network.run_for(0.5)
        self.assertEqual(told(), expected)

    def test_a_real_drop_is_told(self) -> None:
        connection = self.open()
        self.network.run_for(0.5)
        self.network.inject(b"?" * 100, ("203.0.113.9", 9), (self.settings.interface, connection.ports[PortType.UP]))
        self.network.run_for(0.1)
        self.assertEqual(self.scrape()("datagrams_dropped_total", port="up", reason="epoch_not_accepted"), 1)

    def test_what_goes_wrong_in_the_kernel_is_told_by_its_error_and_outlives_the_session(self) -> None:
        connection = self.open()
        self.network.run_for(0.5)
        socket = self.session.conn.sockets[2]
        socket.counters.overflowed = 7
        socket.counters.count_unsent(BlockingIOError(11, "no room"), 2)
        socket.counters.count_unread(OSError(111, "refused"))
        for _ in range(2):
            scrape = self.scrape()
            self.assertEqual(scrape("kernel_dropped_datagrams_total", port="dn"), 7)
            self.assertEqual(scrape("send_errors_total", port="dn", error="EAGAIN"), 2)
            self.assertEqual(scrape("receive_errors_total", port="dn", error="ECONNREFUSED"), 1)
            connection.close()
            self.network.run_for(0.5)

    def test_sockets_that_a_new_session_takes_over_are_counted_once(self) -> None:
        connection = self.open()
        self.network.run_for(0.5)
        self.session.conn.sockets[0].counters.overflowed = 7
        received = self.scrape().total("datagrams_total", direction="received")
        self.assertIsInstance(self.ask(Open(CommEncryptor().get_public_key(), connection.link_id)), Welcome)
        scrape = self.scrape()
        self.assertEqual(scrape("sessions_ended_total", reason="replaced"), 1)
        self.assertEqual(scrape("kernel_dropped_datagrams_total", port="ctrl"), 7)
        self.assertEqual(scrape.total("datagrams_total", direction="received"), received)
        self.server.close_session(self.session, CloseReason.GOODBYE)
        self.assertEqual(self.scrape()("kernel_dropped_datagrams_total", port="ctrl"), 7)


class MonotoneTests(MetricsTestCase):
    @with_seeds(1, 2, 3)
    def test_counters_never_go_back_while_sessions_come_and_go(self) -> None:
        random = self.network.random
        self.network.loss, self.network.duplication, self.network.delay = 0.1, 0.1, (0.01, 0.3)
        open_now: list[Any] = []
        before = self.scrape().counters()
        for _ in range(40):
            act = random.choice(("open", "open", "close", "silence", "replace", "refuse"))
            links = [connection for connection in open_now if connection.link_id in self.server.sessions]
            if act == "open" and len(self.server.sessions) < 4:
                open_now.append(self.open())
            elif act == "close" and links:
                random.choice(links).close()
            elif act == "silence" and links:
                self.network.cut = not self.network.cut
            elif act == "replace" and links:
                self.ask(Open(CommEncryptor().get_public_key(), random.choice(links).link_id))
            elif act == "refuse":
                self.server.open(Open(CommEncryptor().get_public_key()), "SHA256:" + "x" * 43, EXPORTER)
            self.network.run_for(random.uniform(0.1, 4.0))
            scrape = self.scrape()
            now = scrape.counters()
            self.assertLessEqual(set(before), set(now))
            self.assertEqual([key for key, value in before.items() if now[key] < value], [])
            ended = scrape.total("sessions_ended_total")
            self.assertEqual(scrape("sessions_opened_total") - ended, scrape("sessions"))
            before = now
        self.assertGreater(ended, 3)
        self.assertGreater(scrape.total("datagrams_dropped_total", reason="replayed"), 3)


class RefusalTests(MetricsTestCase):
    def test_refusals_are_told_by_reason_and_those_that_did_not_happen_as_none(self) -> None:
        self.server.open(Open(CommEncryptor().get_public_key()), "SHA256:" + "x" * 43, EXPORTER)
        self.rendezvous.refuse(RefusalReason.MALFORMED)
        self.rendezvous.turned_away, self.rendezvous.unfinished = 4, 5
        scrape = self.scrape()
        told = {reason: scrape("handshakes_refused_total", reason=reason.value) for reason in RefusalReason}
        expected = dict.fromkeys(RefusalReason, 0.0)
        expected |= {RefusalReason.UNKNOWN_CLIENT: 1.0, RefusalReason.MALFORMED: 1.0}
        self.assertEqual(told, expected)
        self.assertEqual(scrape("connections_turned_away_total"), 4)
        self.assertEqual(scrape("connections_unfinished_total"), 5)


class TransferTests(MetricsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()
        self.there = 100
        self.progress = FileProgress("a", 9000, 100, lambda: self.there)
        self.files: Any = FakeFiles()
        self.session.files = self.files

    def begin(self) -> None:
        self.session.file_begun("put", self.progress)
        self.files.files.append(("put", 1, self.progress))

    def test_a_file_is_counted_as_it_arrives_less_what_was_there(self) -> None:
        self.begin()
        self.assertEqual(self.scrape()("transfer_bytes_total", direction="put"), 0)
        self.there = 5000
        scrape = self.scrape()
        self.assertEqual(scrape("transfers", direction="put"), 1)
        self.assertEqual(scrape("transfer_bytes_total", direction="put"), 4900)
        self.there = 9000
        self.files.files.clear()
        self.session.file_done("put", self.progress)
        scrape = self.scrape()
        self.assertEqual(scrape("transfers", direction="put"), 0)
        self.assertEqual(scrape("transfer_bytes_total", direction="put"), 8900)
        self.assertEqual(scrape("transfers_done_total", direction="put"), 1)
        self.assertEqual(scrape("transfers_done_total", direction="get"), 0)

    def test_a_file_that_comes_and_goes_between_two_scrapes_counts_whole(self) -> None:
        self.begin()
        self.files.files.clear()
        self.session.file_done("put", self.progress)
        self.assertEqual(self.scrape()("transfer_bytes_total", direction="put"), 8900)

    def test_failures_are_told_by_reason_and_take_nothing_back(self) -> None:
        self.begin()
        self.there = 5000
        self.scrape()
        self.files.files.clear()
        self.session.file_failed("put", DiskFull("a: no space"))
        self.session.file_failed("get", NotAFile("b: a device"))
        scrape = self.scrape()
        self.assertEqual(scrape("transfers_failed_total", direction="put", reason="disk-full"), 1)
        self.assertEqual(scrape("transfers_failed_total", direction="get", reason="not-a-file"), 1)
        self.assertEqual(scrape.total("transfers_failed_total"), 2)
        self.assertEqual(scrape("transfer_bytes_total", direction="put"), 4900)
        self.assertEqual(self.metrics._transfers._seen, {})

    def test_a_file_whose_session_ends_is_interrupted_and_what_arrived_counts(self) -> None:
        self.begin()
        self.scrape()
        self.there = 3100
        self.server.close_session(self.session, CloseReason.STALE)
        scrape = self.scrape()
        self.assertEqual(scrape("transfers_interrupted_total", direction="put"), 1)
        self.assertEqual(scrape("transfer_bytes_total", direction="put"), 3000)
        self.assertEqual(scrape("transfers", direction="put"), 0)


class DataTests(MetricsTestCase, SimulatedDataTestCase):
    def test_streams_are_counted_with_what_was_lost_and_sent_again(self) -> None:
        data = bytes(range(256)) * 2000
        self.network.loss, self.network.duplication = 0.02, 0.02
        for down in (True, False):
            _, sink, outcome = self.send(data, down=down)
            self.network.run_until(outcome.__len__, 120)
            self.assert_whole(data, sink)
        scrape = self.scrape()
        self.assertGreaterEqual(scrape("stream_bytes_total", direction="sent"), len(data))
        self.assertLess(scrape("stream_bytes_total", direction="sent"), len(data) + 1000)
        self.assertGreaterEqual(scrape("stream_bytes_total", direction="received"), len(data))
        self.assertGreater(scrape("lost_datagrams_total"), 0)
        self.assertGreater(scrape("retransmitted_bytes_total"), 1000)
        self.assertGreater(scrape("datagrams_total", port="dn", direction="sent"), len(data) // 1452)
        self.server.close_session(self.session, CloseReason.GOODBYE)
        self.assertEqual(self.scrape()("retransmitted_bytes_total"), scrape("retransmitted_bytes_total"))

    def test_a_message_that_comes_late_is_told(self) -> None:
        self.network.delay = (0.001, 0.05)
        for number in range(50):
            self.client_plane.send_message(5, str(number).encode())
            self.network.run_for(0.002)
        self.network.run_for(0.5)
        late = self.scrape()("late_messages_total")
        self.assertGreater(late, 0)
        self.assertEqual(len(self.there.messages) + late, 50)
