"""Files whose beginning comes with their offer: over the whole rendezvous, on a network that may be bad."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from bittrrt.net.data_plane import DataPlane
from bittrrt.net.streams import EARLY
from bittrrt.net.transfer_jobs import TransferJob

from .simulated_link import with_seeds
from .simulated_transfers import SimulatedTransfersTestCase

SIZES = (0, 1, 30_000, EARLY, EARLY + 1, 300_000)


class EarlyFileTests(SimulatedTransfersTestCase):
    def slow_server(self, seconds: float) -> None:
        """What it does in threads takes so long, such as opening a file."""

        def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
            done: Deferred[Any] = Deferred()
            self.network.callLater(seconds, lambda: maybeDeferred(work).chainDeferred(done))
            return done

        self.service.in_thread = in_thread

    def server_plane(self) -> DataPlane:
        """As soon as there is one."""
        self.network.run_until(lambda: self.server.sessions and self.session.conn.data_plane, 5)
        plane: DataPlane | None = self.session.conn.data_plane
        assert plane is not None
        return plane

    def held(self) -> int:
        """Bytes that wait at the server for the decision about their offer."""
        early = [stream.early for stream in self.server_plane()._receiving.streams.values()]
        return sum(data.count for data in early if data is not None)

    def assert_same(self, name: str = "a") -> None:
        self.assertEqual((self.there / name).read_bytes(), (self.here / name).read_bytes())

    # --- when ---

    def test_the_first_byte_of_a_put_is_there_one_way_after_its_offer(self) -> None:
        self.network.delay = (0.05, 0.05)
        (self.here / "a").write_bytes(os.urandom(300_000))
        (self.there / "folder").mkdir()
        for to in ("", "folder", "new/"):
            done = self.begin(self.put("a", to=to))
            self.network.run_until(lambda: self.server.sessions, 5)
            self.network.sent.clear()
            self.network.run_until(lambda: any(len(sent.data) > 1000 for sent in self.network.sent), 5)
            took = self.network.run_until(lambda: self.server_plane().received_totals.new > 1000, 5)
            self.assertLess(took, 0.05 + 0.005, to)
            self.network.run_until(lambda done=done: done.called, 20)  # type: ignore[misc]
        self.assert_same("a")

    def test_the_first_byte_of_a_get_comes_with_its_offer(self) -> None:
        self.network.delay = (0.05, 0.05)
        (self.there / "a").write_bytes(os.urandom(300_000))
        done = self.begin(self.get("a"))
        self.server_plane()
        took = self.network.run_until(self.begun_here, 5)
        self.assertLess(took, 0.05 + 0.005)
        self.network.run_until(lambda: done.called, 20)
        self.assert_same("a")

    def begun_here(self) -> bool:
        """Whether bytes of a file are on this end's disk."""
        return any(path.name.startswith(".bittrrt-") and path.stat().st_size for path in self.here.iterdir())

    def test_what_the_rendezvous_took_spreads_the_first_window(self) -> None:
        self.network.delay = (0.05, 0.05)
        (self.here / "a").write_bytes(os.urandom(300_000))
        self.begin(self.put("a"))
        self.network.run_until(lambda: self.server.sessions, 5)
        self.network.sent.clear()
        self.network.run_until(lambda: any(len(sent.data) > 1000 for sent in self.network.sent), 5)
        self.network.run_for(0.012)
        early = sum(len(sent.data) for sent in self.network.sent if len(sent.data) > 1000)
        self.assertTrue(10_000 < early < 20_000, early)  # of 38,400 in 36 ms

    def test_a_limit_holds_for_it(self) -> None:
        (self.here / "a").write_bytes(bytes(60_000))
        took = self.run_job(self.put("a", limit=20_000.0))
        self.assertGreater(took, 2.8)
        self.assert_same()

    # --- what becomes of it ---

    @with_seeds(*range(3000, 3040))
    def test_files_arrive_whole_on_a_bad_network_whatever_was_there(self) -> None:
        network, random = self.network, self.network.random
        network.loss, network.duplication = random.uniform(0, 0.25), random.uniform(0, 0.2)
        network.delay = (0.01, 0.01 + random.uniform(0, 0.1))
        self.slow_server(random.choice((0.0, 0.001, 0.2)))
        down = random.random() < 0.5
        source, target = (self.there, self.here) if down else (self.here, self.there)
        content = random.randbytes(random.choice(SIZES))
        (source / "a").write_bytes(content)
        state = random.choice(("nothing", "same", "other"))
        if state != "nothing":
            (target / "a").write_bytes(content if state == "same" else content + b"x")
            os.utime(target / "a", ns=((source / "a").stat().st_mtime_ns,) * 2)
        options: dict[str, Any] = {"overwrite": random.random() < 0.5, "checksum": random.random() < 0.5}
        job: TransferJob = self.get("a", **options) if down else self.put("a", **options)
        self.run_job(job)
        if state == "other" and not options["overwrite"]:
            self.assertEqual((job.tally.failed, (target / "a").read_bytes()), (1, content + b"x"))
        else:
            self.assertEqual((job.tally.failed, (target / "a").read_bytes()), (0, content))
        self.assertEqual(self.lines, [])

    def test_it_waits_while_the_offer_is_lost(self) -> None:
        (self.here / "a").write_bytes(os.urandom(300_000))
        done = self.begin(self.put("a"))
        self.network.run_until(lambda: self.server.sessions, 5)
        ctrl = next(port for port in self.network.readers if port.protocol is self.session.conn.ctrl_handler)
        self.network.blocked_to.add(ctrl.getHost().port)
        self.network.run_until(lambda: self.held() == EARLY, 5)
        self.network.blocked_to.clear()
        self.network.run_until(lambda: done.called, 20)
        self.assert_same()

    def test_a_session_that_is_lost_before_the_answer_costs_only_time(self) -> None:
        self.slow_server(0.5)
        (self.here / "a").write_bytes(os.urandom(300_000))
        done = self.begin(self.put("a"))
        self.network.run_until(lambda: self.server.sessions, 5)
        self.network.run_until(lambda: self.held() == EARLY, 5)
        self.network.cut = True
        self.network.run_until(lambda: self.lines, 60)
        self.network.run_for(1)
        self.network.cut = False
        self.network.run_until(lambda: done.called, 60)
        self.successResultOf(done)
        self.assert_same()

    def test_a_put_that_is_stopped_before_the_answer_leaves_nothing(self) -> None:
        self.slow_server(0.5)
        (self.here / "a").write_bytes(os.urandom(300_000))
        job = self.put("a")
        done = self.begin(job)
        self.network.run_until(lambda: self.server.sessions, 5)
        self.network.run_until(lambda: self.held() == EARLY, 5)
        done.cancel()
        self.failureResultOf(done)
        self.network.run_for(3)
        self.assertEqual(list(self.there.iterdir()), [])
        self.assertEqual(self.server.sessions, {})

    def test_a_source_that_is_cut_before_the_answer_is_told(self) -> None:
        self.slow_server(0.5)
        (self.here / "a").write_bytes(os.urandom(300_000))
        (self.here / "b").write_bytes(os.urandom(300_000))
        job = self.put("a", "b")
        done = self.begin(job)
        self.network.run_until(lambda: self.server.sessions, 5)
        self.network.run_until(lambda: self.held() == EARLY, 5)
        os.truncate(self.here / "a", 1000)
        self.network.run_until(lambda: done.called, 20)
        self.assertEqual(job.tally.failed, 1)
        self.assertEqual([path.name for path in self.there.iterdir()], ["b"])

    def test_an_earlier_call_is_gone_on_with_and_told_as_it_is(self) -> None:
        data = os.urandom(3_000_000)
        (self.here / "a").write_bytes(data)
        done = self.begin(self.put("a", limit=500_000.0))
        self.network.run_until(lambda: self.server.sessions, 5)
        self.network.run_for(4.0)
        done.cancel()
        self.failureResultOf(done)
        self.network.run_for(2)
        job = self.put("a")
        self.run_job(job)
        self.assert_same()
        self.assertGreater(job.tally.resumed, 1_500_000)
        self.assertEqual(job.tally.resumed + job.tally.brought(), len(data))

    def test_only_the_first_file_of_a_session_has_any(self) -> None:
        (self.here / "tree").mkdir()
        for number in range(20):
            (self.here / "tree" / f"{number:02}").write_bytes(os.urandom(100_000))
        self.slow_server(0.3)
        done = self.begin(self.put("tree"))
        self.network.run_until(lambda: self.server.sessions, 5)
        self.network.run_until(lambda: self.held() == EARLY, 5)
        self.assertEqual(len(self.server_plane()._receiving.streams), 1)
        self.network.run_until(lambda: done.called, 60)
        for number in range(20):
            self.assert_same(f"tree/{number:02}")
