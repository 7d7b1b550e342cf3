"""Another flow's pause: TCP BBR makes one every ten seconds, to see the path without a queue.

It keeps four packets in flight for a round trip, and what it sent before drains from the queue. Whoever goes on sees
the round trip fall, and what was sent while it fell stands in the queue with nothing between: it arrives as fast as the
path delivers.

    round trip
       ____.                  delivered from here
            `.
              `.____ the minimum,    to here
       ------------------> time
"""

from __future__ import annotations

from typing import Final

from .congestion import Sample

DEEP: Final = 1.45  # times the minimum round trip, before it: windows that come down by three tenths leave some queue
NEAR: Final = 0.1  # of the fall, at its begin and at its end: not yet, or no more
LONGEST: Final = 1.5  # times the round trip before it. What BBR drains after a probe of the bandwidth falls for longer
LEFT_IN_FLIGHT: Final = 4  # packets, BBRMinPipeCwnd of draft-cardwell-iccrg-bbr-congestion-control-00


class Pause:
    """What the round trips of one path tell of pauses of others."""

    __slots__ = ("_before", "_highest")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """This end sends less, or more, itself."""
        self._highest = 0.0  # seconds, the longest round trip before the fall
        self._before: Sample | None = None  # the last one with a round trip that was nearly as long

    def watch(self, sample: Sample, *, minimum: float, datagram_size: int) -> float:
        """Bytes a second that the whole path delivers, if a pause shows it; else 0. `sample` has a round trip."""
        before, highest, round_trip = self._before, self._highest, sample.round_trip
        near = NEAR * (highest - minimum)
        elapsed = sent(sample) - sent(before) if before else 0.0
        late = elapsed > LONGEST * highest
        if before is None or late or round_trip >= highest - near:
            self._highest = round_trip if late else max(highest, round_trip)
            self._before = sample
            return 0.0
        if round_trip > minimum + near:
            return 0.0
        self.forget()
        took = sample.now - before.now
        if before.round_trip < DEEP * minimum or elapsed <= 0 or took <= 0:
            return 0.0
        left = LEFT_IN_FLIGHT * datagram_size * elapsed / before.round_trip
        return (sample.delivered - before.delivered + left) / took


def sent(sample: Sample) -> float:
    """When the newest of the acknowledged left, in seconds."""
    return sample.now - sample.round_trip
