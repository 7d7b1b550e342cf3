"""What open pages are sent: everything once, then what changed; and what a page costs that does not read."""

from __future__ import annotations

from bittrrt.app import admin_state, admin_stream
from bittrrt.app.admin_feed import ROWS_A_SECOND
from bittrrt.app.admin_points import KEPT_POINTS, LOST, PointRing
from bittrrt.app.admin_stream import KEPT_TICKS, MAX_PAGES, PIECE, parse_watched_untrusted
from bittrrt.app.watch import KEPT_SESSIONS
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.wire.datagram import PortType
from bittrrt.wire.messages import CloseReason, Open, Welcome
from tests.net.simulated_link import NOW_MS

from .admin_http import AdminHttpTestCase, Answer, FakeTransport

HOSTILE = "<img/src=x/onerror=alert(1)>"


def pause(page: FakeTransport) -> None:
    """Its reader does not read any more, and the transport's buffer is full."""
    page.connection.pauseProducing()


def resume(page: FakeTransport) -> None:
    """It reads again."""
    page.connection.resumeProducing()


class StreamTests(AdminHttpTestCase):
    def names(self, page: FakeTransport) -> list[str]:
        return [name for name, _, _ in self.told(page)]

    def test_a_page_is_sent_everything_and_then_a_tick_a_second(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        page = self.stream()
        ((name, _, snapshot),) = self.told(page)
        self.assertEqual(name, "snapshot")
        (facts,) = snapshot["facts"]
        self.assertEqual((facts["name"], facts["link"]), ("anna", connection.link_id))
        self.assertEqual(facts["ports"], [connection.ports[port_type] for port_type in PortType])
        self.assertTrue(facts["address"])
        ((key, states, round_trip, _, loss, files, rate),) = snapshot["rows"]
        self.assertEqual((key, states, loss, files, rate), (facts["key"], "aaa", 0.0, 0, 0))
        self.assertGreater(round_trip, 0)
        self.assertEqual([event["kind"] for event in snapshot["events"]], ["opened"])
        self.network.run_for(3.0)
        self.assertEqual(self.names(page), ["snapshot", "delta", "delta", "delta"])

    def test_what_does_not_change_is_not_sent_again(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        connection.stop_beating()
        self.network.run_for(4.0)
        page = self.stream()
        self.network.run_for(1.6)
        self.assertEqual([set(data) for name, _, data in self.told(page) if name == "delta"], [{"tick", "now_ms"}])

    def test_sessions_that_come_and_go_are_told(self) -> None:
        page = self.stream()
        connection = self.open()
        self.network.run_for(2.2)
        connection.close()
        self.network.run_for(1.2)
        deltas = [data for name, _, data in self.told(page) if name == "delta"]
        key = next(delta["facts"][-1]["key"] for delta in deltas if "facts" in delta)
        (ended,) = [each for delta in deltas for each in delta.get("ended", [])]
        self.assertEqual((ended["key"], ended["why"]), (key, "said goodbye"))
        kinds = [event["kind"] for delta in deltas for event in delta.get("events", [])]
        self.assertEqual(kinds, ["opened", "ended", "recycled"])
        self.assertGreater(ended["closed_ms"], NOW_MS)
        (closed,) = self.told(self.stream())[0][2]["closed"]
        self.assertEqual((closed["name"], closed["why"]), ("anna", "said goodbye"))

    def test_a_session_that_is_watched_is_sent_in_full_with_its_heartbeats_once_each(self) -> None:
        connection = self.open()
        self.network.run_for(3.5)
        page = self.stream(f"?watch={connection.link_id}")
        self.network.run_for(4.0)
        looks = [data for name, _, data in self.told(page) if name == "look"]
        self.assertGreaterEqual(len(looks), 4)
        self.assertEqual(looks[0]["session"]["name"], "anna")
        times = [at for look in looks for at in look["points"]["up"][::2]]
        self.assertEqual(len(times), len(set(times)))
        self.assertEqual(len(times), looks[-1]["session"]["ports"][1]["answered"])
        self.assertTrue(all(value > 0 for look in looks for value in look["points"]["up"][1::2]))

    def test_lost_heartbeats_are_points_too(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        self.network.blocked_from = {connection.ports[PortType.UP]}
        self.network.run_for(5.0)
        page = self.stream(f"?watch={connection.link_id}")
        points = self.told(page)[-1][2]["points"]
        self.assertIn(LOST, points["up"][1::2])
        self.assertNotIn(LOST, points["dn"][1::2])

    def test_a_session_that_is_over_is_looked_at_once_more_and_one_that_is_not_known_is_null(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        connection.close()
        self.network.run_for(0.5)
        page = self.stream(f"?watch={connection.link_id},00ff")
        self.network.run_for(3.0)
        looks = [data for name, _, data in self.told(page) if name == "look"]
        self.assertEqual([look["link"] for look in looks], [connection.link_id, "00ff"])
        self.assertEqual(looks[0]["session"]["why"], "said goodbye")
        self.assertEqual(len(looks[0]["points"]["up"]), 2 * looks[0]["session"]["ports"][1]["answered"])
        self.assertIsNone(looks[1]["session"])

    def test_a_page_that_comes_back_soon_is_sent_only_what_it_missed(self) -> None:
        page = self.stream()
        other = self.stream()
        self.network.run_for(3.0)
        *_, (_, last, _) = self.told(page)
        page.abortConnection()
        self.network.run_for(2.0)
        for again in (self.stream(f"?after={last}"), self.stream(**{"Last-Event-ID": last})):
            self.assertEqual(set(self.names(again)), {"delta"})
            missed = range(int(last.partition("-")[2]) + 1, self.feed.tick + 1)
            self.assertEqual([data["tick"] for _, _, data in self.told(again)], list(missed))
        self.network.run_for(float(KEPT_TICKS))
        for stale in (last, "0-1", f"{self.feed.run}-99999", "x", f"{self.feed.run}-"):
            self.assertEqual(self.names(self.stream(f"?after={stale}"))[:1], ["snapshot"], stale)
        self.assertEqual(self.names(other)[0], "snapshot")

    def test_names_of_peers_are_strings_of_the_json_and_nothing_else(self) -> None:
        self.server.authorized.authorize(self.client_identity.fingerprint, HOSTILE)
        self.open()
        page = self.stream()
        self.assertEqual(self.told(page)[0][2]["facts"][0]["name"], HOSTILE)
        self.assertEqual(Answer(page.value()).headers["content-type"], "text/event-stream")
        self.assertEqual(self.http("GET", "/api/state").json()["sessions"][0]["name"], HOSTILE)


class BoundTests(AdminHttpTestCase):
    def test_a_page_that_does_not_read_is_written_nothing_and_dropped_after_ten_seconds(self) -> None:
        reader, sleeper = self.stream(), self.stream()
        self.network.run_for(1.2)
        pause(sleeper)
        before = len(sleeper.value())
        self.network.run_for(KEPT_TICKS - 2.0)
        self.assertFalse(sleeper.aborted)
        self.assertEqual(len(sleeper.value()), before)
        self.network.run_for(4.0)
        self.assertTrue(sleeper.aborted)
        self.assertEqual((self.hub.dropped, self.hub.pages), (1, 1))
        self.assertGreaterEqual(len(self.told(reader)), KEPT_TICKS + 2)

    def test_a_page_that_slept_for_a_while_is_sent_all_that_it_missed(self) -> None:
        connection = self.open()
        page = self.stream(f"?watch={connection.link_id}")
        self.network.run_for(1.2)
        pause(page)
        self.network.run_for(5.0)
        resume(page)
        self.network.run_for(2.0)
        told = self.told(page)
        ticks = [data["tick"] for _, _, data in told if "tick" in data]
        self.assertEqual(ticks, list(range(ticks[0], ticks[0] + len(ticks))))
        points = [at for name, _, data in told if name == "look" for at in data["points"]["dn"][::2]]
        self.assertEqual(len(points), len(set(points)))
        self.assertIn(self.points.of(connection.link_id)[PortType.DN].total - len(points), (0, 1))

    def test_everything_is_written_in_pieces_that_pages_share(self) -> None:
        for _ in range(150):
            self.watch._happened("file", "x" * 1000)
        page = self.connect()
        written: list[int] = []
        write = page.writeSequence

        def write_and_stop(parts: list[bytes]) -> None:
            write(parts)
            written.append(sum(map(len, parts)))
            if written[-1] > 1000:
                pause(page)

        page.writeSequence = write_and_stop  # type: ignore[method-assign]
        page.connection.dataReceived(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertLess(sum(written), 2 * PIECE)
        self.assertEqual(self.told(self.stream())[0][0], "snapshot")
        self.assertIs(self.hub.snapshot()[1], self.hub.snapshot()[1])
        while len(self.hub.snapshot()[1]) > len([size for size in written if size > 1000]):
            resume(page)
        self.assertEqual(self.told(page)[0][0], "snapshot")

    def test_the_number_of_pages_is_bounded(self) -> None:
        pages = [self.stream() for _ in range(MAX_PAGES)]
        self.assertEqual(Answer(self.stream().value()).status, 503)
        pages[3].abortConnection()
        self.assertEqual(Answer(self.stream().value()).status, 200)

    def test_pages_are_spread_over_the_second_and_are_all_written_to(self) -> None:
        pages = [self.stream() for _ in range(40)]
        self.assertEqual({len(slot) for slot in self.hub._pages}, {2})
        self.network.run_for(2.05)
        self.assertLessEqual({len(self.told(page)) for page in pages}, {2, 3})

    def test_with_no_page_nothing_is_read_and_nothing_is_collected(self) -> None:
        self.stream().abortConnection()
        self.assertEqual(self.hub.pages, 0)
        for _ in range(5):
            connection = self.open()
            self.network.run_for(1.5)
            connection.close()
            self.network.run_for(0.5)
        self.assertEqual((self.feed._facts, self.feed._rows, self.feed._ended, len(self.feed)), ({}, {}, [], 0))
        self.assertEqual(self.told(self.stream())[0][2]["facts"], [])

    def test_a_first_page_waits_until_every_session_was_read_and_no_turn_reads_many(self) -> None:
        for _ in range(4):
            self.open()
        self.network.run_for(1.5)
        self.patch(admin_stream, "ROWS_AT_ONCE", 2)
        first, second, gone = self.stream(), self.stream(), self.stream()
        gone.abortConnection()
        self.assertEqual((first.value(), self.hub.pages), (b"", 2))
        self.network.run_for(0.11)
        for page in (first, second, self.stream()):
            self.assertEqual(len(self.told(page)[0][2]["rows"]), 4)
        self.assertEqual((self.hub.pages, gone.value()), (3, b""))

    def test_at_the_end_every_page_is_closed(self) -> None:
        pages = [self.stream() for _ in range(3)]
        self.hub.close()
        self.assertTrue(all(page.aborted for page in pages))
        self.assertFalse(self.hub._turning.running)

    def test_only_so_many_sessions_are_read_in_a_second(self) -> None:
        self.open()
        self.stream()
        reads: list[object] = []
        self.feed._read = reads.append  # type: ignore[method-assign,assignment]
        self.network.run_for(2.0)
        self.assertLessEqual(len(reads), 2 * 20 + 1)  # one session, at most once a turn
        self.assertEqual(ROWS_A_SECOND % 20, 0)

    def test_what_may_be_watched_is_few_links(self) -> None:
        self.assertEqual(parse_watched_untrusted([b"ab,cd", b"ab"]), ["ab", "cd"])
        for values in ([b"a,b,c,d,e"], [b"../x"], [b"AB"], [b"\xff"], [b"a" * 200]):
            self.assertIsNone(parse_watched_untrusted(values))
        self.assertEqual(self.http("GET", "/api/stream?watch=x").status, 400)


class PointTests(AdminHttpTestCase):
    def test_a_ring_keeps_the_last_ones_in_order(self) -> None:
        ring = PointRing()
        for at in range(KEPT_POINTS + 10):
            ring.add(at, at * 2)
        self.assertEqual(ring.total, KEPT_POINTS + 10)
        self.assertEqual(ring.since(0)[:4], [10, 20, 11, 22])
        self.assertEqual(len(ring.since(0)), 2 * KEPT_POINTS)
        self.assertEqual(ring.since(KEPT_POINTS + 9), [KEPT_POINTS + 9, 2 * KEPT_POINTS + 18])
        self.assertEqual(ring.since(KEPT_POINTS + 10), [])

    def test_those_of_sessions_that_are_over_are_forgotten_in_the_end(self) -> None:
        for _ in range(KEPT_SESSIONS + 5):
            self.assertIsInstance(self.ask(Open(CommEncryptor().get_public_key())), Welcome)
            self.server.close_session(self.session, CloseReason.GOODBYE)
            self.network.run_for(11.0)
        self.assertEqual(len(self.points._by_link), KEPT_SESSIONS)
        self.assertEqual(self.points._live, {})


class StateTests(AdminHttpTestCase):
    def test_the_state_is_whole_and_shared_for_a_second(self) -> None:
        connections = [self.open() for _ in range(4)]
        self.network.run_for(1.5)
        asked = [self.send("GET", "/api/state", {"Host": "localhost"}) for _ in range(2)]
        self.network.run_for(0.1)
        first, second = (Answer(transport.value()) for transport in asked)
        state = first.json()
        self.assertEqual(set(state), {"server", "sessions", "closed", "events"})
        self.assertEqual({each["link"] for each in state["sessions"]}, {each.link_id for each in connections})
        self.assertEqual(second.body, first.body)
        connections[0].close()
        self.network.run_for(1.5)
        self.assertEqual(len(self.http("GET", "/api/state").json()["closed"]), 1)

    def test_a_page_that_left_before_its_state_was_read_harms_nobody(self) -> None:
        many = [self.open() for _ in range(4)]
        self.patch(admin_state, "SLICE", 1)
        leaver, stayer = (self.send("GET", "/api/state", {"Host": "localhost"}) for _ in range(2))
        leaver.abortConnection()
        self.network.run_for(0.5)
        self.assertEqual(len(Answer(stayer.value()).json()["sessions"]), len(many))
