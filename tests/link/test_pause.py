"""Pauses of others, as round trips show them: a queue in memory that this end and somebody else send into."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.congestion import Sample
from bittrrt.link.pause import LEFT_IN_FLIGHT, Pause

PATH = 1e6  # bytes a second
MINIMUM = 0.1  # seconds
STEP = 0.002
SIZE = 1200


def queue(own: float, *, full: float, others: float, seconds: float = 1.0, jitter: float = 0.0) -> list[Sample]:
    """The acknowledgements of an end that sends so much, over a second with a queue and others that fill it.

    And over so many seconds more, in which the others send only `others`.
    """
    samples, round_trip, delivered = [], full, 0.0
    for step in range(int((1 + seconds) / STEP)):
        sent = step * STEP
        delivered += own * STEP
        if sent > 1:
            round_trip = max(round_trip + STEP * ((own + others) / PATH - 1), MINIMUM)
        measured = round_trip + jitter * (step % 2)
        samples.append(Sample(sent + measured, 1000, 0, 0, int(delivered), 0, 0.0, False, measured))
    return samples


def told(samples: list[Sample]) -> list[float]:
    """What they tell that the path delivers, each time that they do."""
    pause = Pause()
    rates = [pause.watch(sample, minimum=MINIMUM, datagram_size=SIZE) for sample in samples]
    return [rate for rate in rates if rate]


class PauseTests(SynchronousTestCase):
    def test_it_tells_what_the_path_delivers(self) -> None:
        left = LEFT_IN_FLIGHT * SIZE / 0.18  # one round trip for another, it falls from 0.2
        for share in (0.1, 0.3, 0.5, 0.6):
            (rate,) = told(queue(share * PATH, full=0.2, others=left))
            self.assertApproximates(rate, PATH, 0.03 * PATH, f"{share}")

    def test_jitter_does_not_hide_it(self) -> None:
        (rate,) = told(queue(0.3 * PATH, full=0.2, others=0.0, jitter=0.002))
        self.assertApproximates(rate, PATH, 0.2 * PATH)

    def test_a_queue_that_a_yielding_flow_may_have_emptied_tells_nothing(self) -> None:
        self.assertEqual(told(queue(0.3 * PATH, full=0.14, others=0.0)), [])

    def test_others_who_only_send_less_tell_nothing(self) -> None:
        for seconds in (1.0, 3.0):
            self.assertEqual(told(queue(0.4 * PATH, full=0.2, others=0.75 * 0.6 * PATH, seconds=seconds)), [])

    def test_what_was_before_this_end_sent_less_itself_tells_nothing(self) -> None:
        pause = Pause()
        samples = queue(0.3 * PATH, full=0.2, others=0.0)
        for sample in samples[:500]:
            pause.watch(sample, minimum=MINIMUM, datagram_size=SIZE)
        pause.forget()
        for sample in samples[560:]:  # the fall is half over
            self.assertEqual(pause.watch(sample, minimum=MINIMUM, datagram_size=SIZE), 0.0)

    def test_acknowledgements_that_come_in_another_order_tell_nothing(self) -> None:
        samples = queue(0.3 * PATH, full=0.2, others=0.0)
        self.assertEqual(told([samples[400], samples[-1]._replace(now=0.5)]), [])
