"""The timeline of a silence: probes, suspicion, staleness."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.liveness import MIN_PROBE_TIMEOUT, PROBES, Liveness, Verdict

PROBE, SUSPECT, STALE = Verdict.PROBE, Verdict.SUSPECT, Verdict.STALE


def run_silence(liveness: Liveness, until: float, probe_timeout: float) -> list[tuple[float, Verdict | None]]:
    """Wait for every timeout until nothing more is due, as the client does; what was due when."""
    verdicts: list[tuple[float, Verdict | None]] = []
    while (now := liveness.next_timeout()) <= until:
        verdict = liveness.timed_out(now)
        verdicts.append((now, verdict))
        if verdict is STALE:
            break
        if verdict is PROBE:
            liveness.sent(now, probe_timeout)
    return verdicts


class TimelineTests(SynchronousTestCase):
    def test_a_silence_is_probed_then_suspected_then_stale(self) -> None:
        liveness = Liveness(30.0, 100.0)
        liveness.sent(100.0, 1.0)
        self.assertEqual(
            run_silence(liveness, 1000.0, 1.0),
            [(101.0, PROBE), (102.0, PROBE), (103.0, PROBE), (104.0, SUSPECT), (130.0, STALE)],
        )

    def test_an_answer_in_time_ends_the_watch(self) -> None:
        liveness = Liveness(30.0, 0.0)
        liveness.sent(0.0, 1.0)
        liveness.heard(0.9)
        self.assertEqual(liveness.next_timeout(), 30.9)
        self.assertIsNone(liveness.timed_out(1.0))

    def test_every_silence_is_probed_anew(self) -> None:
        liveness = Liveness(30.0, 0.0)
        liveness.sent(0.0, 1.0)
        self.assertEqual(len(run_silence(liveness, 3.5, 1.0)), PROBES)
        liveness.heard(3.5)
        liveness.sent(5.0, 1.0)
        self.assertEqual([verdict for _, verdict in run_silence(liveness, 9.0, 1.0)], [PROBE] * PROBES + [SUSPECT])

    def test_a_suspected_link_that_is_heard_again_is_no_longer_suspected(self) -> None:
        liveness = Liveness(30.0, 0.0)
        liveness.sent(0.0, 1.0)
        run_silence(liveness, 10.0, 1.0)
        self.assertTrue(liveness.suspected)
        liveness.sent(10.0, 1.0)  # heartbeats go on, and bring no probes back
        self.assertEqual(liveness.next_timeout(), 30.0)
        liveness.heard(11.0)
        self.assertFalse(liveness.suspected)
        self.assertEqual(liveness.next_timeout(), 41.0)

    def test_a_second_heartbeat_does_not_put_the_first_ones_probe_off(self) -> None:
        liveness = Liveness(30.0, 0.0)
        liveness.sent(0.0, 1.0)
        liveness.sent(0.9, 1.0)
        self.assertEqual(liveness.next_timeout(), 1.0)

    def test_a_short_round_trip_does_not_make_probes_hasty(self) -> None:
        liveness = Liveness(30.0, 0.0)
        liveness.sent(0.0, 0.000_1)
        self.assertEqual(liveness.next_timeout(), MIN_PROBE_TIMEOUT)

    def test_nothing_is_due_before_its_time(self) -> None:
        liveness = Liveness(30.0, 0.0)
        self.assertIsNone(liveness.timed_out(29.9))
        liveness.sent(0.0, 2.0)
        self.assertIsNone(liveness.timed_out(1.9))
        self.assertEqual(liveness.timed_out(2.0), PROBE)

    def test_a_late_timer_finds_it_stale_whatever_else_was_due(self) -> None:
        liveness = Liveness(30.0, 0.0)
        liveness.sent(0.0, 1.0)
        self.assertEqual(liveness.timed_out(500.0), STALE)

    def test_staleness_needs_no_heartbeat(self) -> None:
        self.assertEqual(run_silence(Liveness(0.02, 0.0), 1.0, 1.0), [(0.02, STALE)])

    @given(
        st.floats(0.02, 100),
        st.lists(st.tuples(st.sampled_from(["sent", "heard", "time out"]), st.floats(0.001, 20)), max_size=30),
    )
    def test_any_silence_ends_stale_exactly_when_it_has_to(
        self, stale_after: float, events: list[tuple[str, float]]
    ) -> None:
        now = 0.0
        liveness = Liveness(stale_after, now)
        for event, later in events:
            now += later
            if event == "sent":
                liveness.sent(now, later)
            elif event == "heard":
                liveness.heard(now)
            else:
                stale = liveness.timed_out(now) is STALE
                self.assertEqual(stale, now >= liveness.last_heard + stale_after)
        verdicts = run_silence(liveness, 1e9, 1.0)
        self.assertEqual(verdicts[-1], (liveness.last_heard + stale_after, STALE))
        self.assertLessEqual(len(verdicts), PROBES + 2)
