"""Congestion control by a model of the path: how fast it delivers, and how long a round trip takes without a queue.

    STARTUP --- the rate grows no more, or a queue does ---> DRAIN --- it is gone ---> CRUISE <---> PROBE_ROUND_TRIP
    doubles each round trip                                                            |    ^       every 12 s,
          ^                                                                            UP-> DOWN    if needed
          +--------------- a probe brought all that it tried, and no queue -----------------+

The shape is that of BBR (draft-cardwell-iccrg-bbr-congestion-control). What is its own: random loss changes nothing; a
bound on what may be in flight comes down only on loss that queueing explains, and grows back as long as there is none.
"""

from __future__ import annotations

import math
from enum import Enum
from random import Random
from typing import Final

from .congestion import INITIAL_DATAGRAMS, MIN_DATAGRAMS, Congestion, Sample
from .conservation import Conservation
from .overflow import HALF, Overflow
from .pacer import MAX_QUANTUM, TICK
from .round_trip import RoundTrip
from .rounds import MaximumOfRounds, MedianOfRounds, Round
from .share import OCCUPIED, Share

STARTUP_GAIN: Final = 2.77  # 4 ln 2: the least that doubles the rate each round trip, by the draft's derivation
FEW_DATAGRAMS: Final = 3 * INITIAL_DATAGRAMS  # up to here the window doubles; so few give no rate to trust
SLOW_START_DATAGRAMS: Final = 8 * INITIAL_DATAGRAMS  # and so far while no queue shows: the rate lags by a round
SLOW_START_QUEUE: Final = 1 / 8  # of the minimum round trip shows a queue; RFC 9406 section 4.3: MIN_RTT_DIVISOR
LEAST_SLOW_START_QUEUE: Final = 0.004  # seconds; RFC 9406 section 4.3: MIN_RTT_THRESH
DRAIN_GAIN: Final = 0.35  # its inverse: the queue is gone in a round trip
UP_GAIN: Final = 1.25
LEAST_UP_GAIN: Final = 1.05
UP_GAIN_GROWTH: Final = 1.02  # a probe, after one that a short queue did not bear
UP_GAIN_WITH_LESS: Final = 1.5  # than half of the path, where nobody else yields
DOWN_GAIN: Final = 0.75
DOWN_BESIDE_GAIN: Final = 0.8  # where a queue stood before the probe: others hold it, and fill what is drained
MARGIN: Final = 0.99  # of the rate: a little less than the path has, so that a queue drains by itself
WINDOW_GAIN: Final = 2.0  # bandwidth-delay products: acknowledgements are late and come in clumps
WINDOW_GAIN_WITH_LESS: Final = 2.5  # than half of the path, where nobody else yields
CONTENDED_DATAGRAMS: Final = 12  # at least, beyond the products, where nobody else yields; Linux's BBR has about ten
CONTENDED_BURST: Final = 2  # datagrams, there: so Linux's BBR sends, and a full queue drops the second of a pair
WRITES_AHEAD: Final = 8  # at most, beyond the products: six that are acknowledged together, two on their way then
BANDWIDTH_ROUNDS: Final = 10  # rounds that a maximum counts; longer than a cycle, so that one probe is always in
CRUISE_ROUNDS: Final = (4, 6)  # minimum round trips between two probes, drawn, so that two flows do not march in step
WORTH_PROBING: Final = 1.1  # growth by a probe after which the next one follows at once
PROBE_SHOWS_ROUNDS: Final = 2  # after it, at most, until all that arrived by it is counted
ALL_OF_A_PROBE: Final = 0.7  # of what it tries, and more. Beside others who fill a queue half of the path gives 0.44
FULL_GROWTH: Final = 1.25  # a round in which the rate grew by less was one at the path's limit
FULL_ROUNDS: Final = 3
EARLIER_ROUNDS: Final = 3  # until what was lost before a cut of the flight is found, and the flight is back
JITTER_ROUNDS: Final = 7  # whose medians are what round trips differ by
LEAST_JITTER_ROUNDS: Final = 4
STARTUP_LOSS: Final = 0.15  # beyond the path's own: startup sends twice what a short queue bears
CRUSHING_LOSS: Final = 0.3  # in a queue, though the rate grows: what grows is the share, and others pay
QUEUE: Final = 1.25  # times the minimum round trip: there is a queue
SOME_QUEUE: Final = 1.03  # the same: there may be a short one; a path that only loses has none
CLEAR_QUEUE: Final = 2  # times what round trips differ by within a round: it is a queue, not jitter
MINIMUM_LIFETIME: Final = 12.0  # seconds that a minimum round trip is believed after one that comes near to it. TCP
# BBR's is 10: where it pauses to measure, who waits a little longer measures too, and sees how fast the queue drains
FALLEN: Final = 0.9  # of it: there had been a queue all the time
CONFIRMING: Final = 0.01  # of it, and no more: so much does a pause of the processor add
PROBE_ROUND_TRIP_TIME: Final = 0.2  # seconds, or a round trip if that is longer
PROBE_ROUND_TRIP_GAIN: Final = 0.5
PUSHED: Final = 1.1  # products in flight, or more: a queue that comes then is the own one


class State(Enum):
    """What the model is doing."""

    STARTUP = "startup"
    DRAIN = "drain"
    UP = "probe bandwidth: up"
    DOWN = "probe bandwidth: down"
    CRUISE = "probe bandwidth: cruise"
    PROBE_ROUND_TRIP = "probe round trip"


PACING_GAINS: Final = {
    State.STARTUP: STARTUP_GAIN,
    State.DRAIN: DRAIN_GAIN,
    State.CRUISE: MARGIN,
    State.PROBE_ROUND_TRIP: MARGIN,
}


class Model(Congestion):
    """One sender's model of its path."""

    name = "model"

    def __init__(self, now: float, *, round_trip: RoundTrip, random: Random) -> None:
        """`round_trip`: the path's, as far as it is known before any data is sent."""
        self._random = random
        self._datagram_size = 0
        self._now = now
        self._round = Round()
        self._rates = MaximumOfRounds(BANDWIDTH_ROUNDS)
        self._excess = MaximumOfRounds(BANDWIDTH_ROUNDS)  # bytes acknowledged beyond the rate: how large clumps are
        self._excess_since = now
        self._excess_bytes = 0
        self.minimum_round_trip = round_trip.minimum if round_trip.latest is not None else 0.0
        """Seconds, the least of the last twelve or so; 0 before the first."""
        self._minimum_at = now
        self._overflow = Overflow()
        self._share = Share(now, random)
        self._conservation = Conservation()
        self._jitter = MedianOfRounds(JITTER_ROUNDS)  # seconds, from one round trip to the next
        self._spread = MedianOfRounds(JITTER_ROUNDS)  # seconds, quickest to slowest: jitter, and a queue that grows
        self.state = State.STARTUP
        self._state_since = now
        self._stood = False  # whether a queue did, for the whole of the last round
        self._clearly_occupied = False  # the same, be it short, but more of it than round trips differ by
        self._last_rate = 0.0  # bytes a second, of that round
        self._full_rate = 0.0
        self._full_rounds = 0
        self._earlier_flight = 0  # bytes, at the end of startup or before a probe of the round trip: more than now
        self._earlier_until = -1  # the round in which the last losses of that time are found
        self._rate_before_up = 0.0
        self._probe_shows_until = -1  # the last round that may show what the last probe brought
        self._down_gain = DOWN_GAIN
        self._cruise_until = 0.0
        self._up_gain = UP_GAIN
        self._probe_until: float | None = None
        self._quickest_probe = float("inf")
        self._looking = False  # whether the probe of the round trip is for the sake of the capacity
        self.set_datagram_size(1200)
        first = round_trip.smoothed if round_trip.supposed else TICK
        self.pacing_rate = STARTUP_GAIN * self.window / first

    @property
    def bandwidth(self) -> float:
        """Bytes a second that the path delivers, as far as is known; 0 before the first sample."""
        return self._rates.value

    @property
    def product(self) -> float:
        """Bytes that the path itself holds: bandwidth times minimum round trip."""
        return self._rates.value * self.minimum_round_trip

    @property
    def bound(self) -> float:
        """Bytes in flight beyond which the path's queue overflowed."""
        return self._overflow.bound(self._now)

    def set_datagram_size(self, size: int) -> None:
        if not self._datagram_size:
            self.window = INITIAL_DATAGRAMS * size
        self._datagram_size = size
        self.window = max(self.window, MIN_DATAGRAMS * size)

    def update(self, sample: Sample) -> None:
        self._now = sample.now
        round_ended = self._round.add(sample)
        rate = min(sample.rate, self._share.most_rate)
        if rate and (rate >= self._rates.value or not sample.application_limited):
            self._rates.add(rate, self._round.count)
        self._learn_round_trip(sample)
        if self._cut or self.state is State.STARTUP:
            self._share.cut()
        else:
            self._share.acknowledged(sample, minimum=self.minimum_round_trip, datagram_size=self._datagram_size)
        if round_ended:
            self._last_rate = self._round.rate
            if self.state is not State.STARTUP and not sample.application_limited:
                pushed = self._round.in_flight > PUSHED * self.product and self._round.count > self._earlier_until
                self._share.capacity.round_ended(self._round, self.minimum_round_trip, pushed=pushed)
            self._judge_losses(sample)
            self._share.round_ended(
                self._round,
                sample.now,
                minimum=self.minimum_round_trip,
                contended=self._overflow.contended,
                cut=self._cut,
            )
            self._plan_look(sample.now)
            self._look_for_much_more(sample.now)
            self._look_for_full_rate(sample)
            self._jitter.add(self._round.jitter)
            self._spread.add(self._round.spread)
            self._stood = self._queued
        self._learn_excess(sample)
        self._move_on(sample)
        if round_ended:
            self._round.begin(sample.delivered)
            self._rates.expire(self._round.count)
            self._excess.expire(self._round.count)
        self._decide(sample)

    # --- what the path is like ---------------------------------------------------------------------------------------

    def _learn_round_trip(self, sample: Sample) -> None:
        measured, minimum = sample.round_trip, self.minimum_round_trip
        if not measured:
            return
        if not minimum:  # no heartbeat had come back before
            self.pacing_rate = STARTUP_GAIN * self.window / measured
        elif measured < FALLEN * minimum:
            self._overflow.forget_own_loss()
        if not minimum or measured <= minimum:
            self.minimum_round_trip = measured
        if measured <= self.minimum_round_trip * (1 + CONFIRMING):
            self._minimum_at = sample.now

    def _learn_excess(self, sample: Sample) -> None:
        """How far acknowledgements run ahead of the rate when they come in clumps."""
        expected = self._rates.value * (sample.now - self._excess_since)
        if self._excess_bytes <= expected:
            self._excess_bytes = 0
            self._excess_since = sample.now
            expected = 0.0
        self._excess_bytes += sample.acknowledged
        self._excess.add(min(self._excess_bytes - expected, self.product), self._round.count)

    @property
    def _cut(self) -> bool:
        """Whether this end sends less than it might, or did when what is acknowledged now was sent."""
        return self.state is State.PROBE_ROUND_TRIP or self._round.count <= self._earlier_until

    @property
    def _jitter_known(self) -> bool:
        """Whether a queue can be told from jitter."""
        return self._jitter.rounds >= LEAST_JITTER_ROUNDS

    @property
    def _queued(self) -> bool:
        """Whether a queue stood for the whole of the round: more of it than jitter explains."""
        return self._longer_than(QUEUE)

    @property
    def _queue(self) -> float:
        """Seconds that the quickest of the round waited in it."""
        return self._round.quickest - self.minimum_round_trip

    def _longer_than(self, times: float) -> bool:
        """Whether every round trip of the round was so many times the minimum, and jitter does not explain it."""
        longer = self._round.quickest > times * self.minimum_round_trip
        return self._jitter_known and longer and self._queue > self._jitter.value

    def _judge_losses(self, sample: Sample) -> None:
        seen, overflow, now, cut = self._round, self._overflow, sample.now, self._cut
        crushed = self.state is State.STARTUP and seen.loss > STARTUP_LOSS  # by a queue that stood before, most likely
        settled = self._jitter_known and not cut and not crushed
        size, contended = self._datagram_size, overflow.contended
        queued, occupied = self._queued, self._longer_than(OCCUPIED)
        overflow.grow(1.0 if cut else self._share.growth(seen.rate, occupied=occupied), now)
        if settled and 0 < seen.slowest <= OCCUPIED * self.minimum_round_trip:
            overflow.forget_bound()
        in_flight = overflow.happened(
            seen,
            queued=queued,
            occupied=occupied,
            settled=settled,
            datagram_size=size,
            now=now,
            enough=self._share.capacity.enough,
        )
        if in_flight:
            self._share.capacity.overflowed(seen.count)
            if cut:
                in_flight = max(in_flight, self._earlier_flight)
            if self.state is State.STARTUP:
                in_flight -= seen.lost  # twice what fits was sent, not one datagram too many
            overflow.answer(
                in_flight, now, seen.rate / self._share.capacity.value if self._share.capacity.exact else HALF
            )
            if self.state is State.UP and not overflow.contended:
                self._enter(State.DOWN, now)
        elif overflow.excess and not queued and not cut and self.state is not State.STARTUP:
            self._up_gain = max(1 + (self._up_gain - 1) / 2, LEAST_UP_GAIN)  # a queue too short to probe so hard
        if overflow.contended and not contended:  # what this end yielded, nobody else did: it takes that back
            self._rates.restart(max(self._rates.value, overflow.half), seen.count)
        self.burst = CONTENDED_BURST * size if overflow.contended else 0

    def loss_was_false(self) -> None:
        self._overflow.undo()

    def persistent_trouble(self) -> None:
        """Start again from half of what is known: the path may be another one now."""
        if self._rates.value:
            self._rates.restart(self._rates.value / 2, self._round.count)
            self.window = min(self.window, int(WINDOW_GAIN * self.product))
        self._share = Share(self._now, self._random)
        self._round.clear()
        self._enter(State.STARTUP, self._now)

    # --- what to do about it -----------------------------------------------------------------------------------------

    def _look_for_much_more(self, now: float) -> None:
        """Start again if the last probe brought all that it tried, and no queue: the path has much more."""
        if self.state is not State.CRUISE or self._round.count > self._probe_shows_until:
            return
        all_of_it = 1 + ALL_OF_A_PROBE * (self._up_gain - 1)
        brought = self._rates.value >= all_of_it * self._rate_before_up > 0
        if brought and not self._share.has_half(self._round.rate) and not self._longer_than(OCCUPIED):
            self._enter(State.STARTUP, now)

    def _look_for_full_rate(self, sample: Sample) -> None:
        """Leave startup when the rate grows no more, or a queue grows instead of it."""
        if self.state is not State.STARTUP or sample.application_limited:
            return
        seen = self._round
        lost = seen.loss if self._overflow.excess else 0.0
        some_queue = seen.quickest > SOME_QUEUE * self.minimum_round_trip
        crushing = some_queue and seen.loss > CRUSHING_LOSS
        if self._rates.value >= self._full_rate * FULL_GROWTH and not crushing:
            self._full_rate = self._rates.value
            self._full_rounds = 0
            return
        self._full_rounds += 1
        jitter = max(CLEAR_QUEUE * self._spread.value, seen.spread)
        overflown = some_queue and lost > STARTUP_LOSS
        if self._full_rounds >= FULL_ROUNDS or (self._queued and self._queue > jitter) or overflown:
            self._earlier_flight, self._earlier_until = self.window - seen.lost, seen.count + EARLIER_ROUNDS
            self._enter(State.DRAIN, sample.now)

    def _move_on(self, sample: Sample) -> None:
        now, state = sample.now, self.state
        elapsed = now - self._state_since
        if state is State.DRAIN:
            if sample.in_flight <= self.product:
                self._enter(State.CRUISE, now)
        elif state is State.UP:
            filled = sample.in_flight >= self._up_gain * self.product
            if elapsed > self.minimum_round_trip * (1 if filled else 3):
                self._enter(State.DOWN, now)
        elif state is State.DOWN:
            if elapsed > self.minimum_round_trip or sample.in_flight <= self.product:
                self._probe_shows_until = self._round.count + PROBE_SHOWS_ROUNDS
                self._enter(State.CRUISE, now)
        elif state is State.CRUISE:
            count, contended = self._round.count, self._overflow.contended
            if self._clearly_occupied and self._share.look_is_due(now, count, contended=contended):
                self._begin_probe(sample, looking=True)
                return
            if now >= self._cruise_until:
                self._enter(State.UP, now)
        elif state is State.PROBE_ROUND_TRIP:
            self._probe_round_trip(sample)
        if now - self._minimum_at > MINIMUM_LIFETIME and state not in (State.PROBE_ROUND_TRIP, State.STARTUP):
            self._begin_probe(sample, looking=False)

    def _plan_look(self, now: float) -> None:
        """A round has ended: if others hold a queue, look at what the path delivers before long."""
        self._clearly_occupied = self._longer_than(OCCUPIED) and self._queue > CLEAR_QUEUE * self._spread.value
        if self._clearly_occupied:
            self._share.plan_look(now, self.minimum_round_trip)

    def _begin_probe(self, sample: Sample, *, looking: bool) -> None:
        self._earlier_flight = sample.in_flight
        self._looking = looking
        self._share.capacity.probe_begins(sample, self._round.count)
        self._enter(State.PROBE_ROUND_TRIP, sample.now)

    def _probe_round_trip(self, sample: Sample) -> None:
        """Send half of what the path holds for a while, so that the own queue is gone, and measure.

        A look halves what is in flight, and takes no other minimum: the queue of others stands all the time.
        """
        self._share.capacity.probe(sample, self.minimum_round_trip)
        if self._probe_until is None:
            if sample.in_flight <= self._probe_flight + MIN_DATAGRAMS * self._datagram_size:
                least = 0.0 if self._looking else PROBE_ROUND_TRIP_TIME
                self._probe_until = sample.now + max(least, self.minimum_round_trip, sample.round_trip)
                self._quickest_probe = float("inf")
            return
        if self._looking and 0 < sample.round_trip <= SOME_QUEUE * self.minimum_round_trip:
            self._probe_until = sample.now  # somebody else pauses: there is nothing to see, and room to take
        if sample.round_trip:
            self._quickest_probe = min(self._quickest_probe, sample.round_trip)
        if sample.now >= self._probe_until and self._quickest_probe < float("inf"):
            self._share.capacity.probe_ended(self.minimum_round_trip, self._rates.value)
            if not self._looking:
                self.minimum_round_trip = self._quickest_probe
                self._minimum_at = sample.now
            self._earlier_until = self._round.count + EARLIER_ROUNDS
            self._enter(State.CRUISE, sample.now)

    def _enter(self, state: State, now: float) -> None:
        self.state = state
        self._state_since = now
        if state is State.STARTUP:
            self._full_rate, self._full_rounds = 0.0, 0
        elif state is State.UP:
            self._rate_before_up = self._rates.value
            self._down_gain = DOWN_BESIDE_GAIN if self._stood and self._overflow.bound(now) < math.inf else DOWN_GAIN
            self._up_gain = min(self._up_gain * UP_GAIN_GROWTH, UP_GAIN)
        elif state is State.PROBE_ROUND_TRIP:
            self._probe_until = None
        elif state is State.CRUISE:
            found_more = self._rates.value >= self._rate_before_up * WORTH_PROBING > 0
            rounds = 1.0 if found_more else self._random.uniform(*CRUISE_ROUNDS)
            self._cruise_until = now + rounds * self.minimum_round_trip

    def _decide(self, sample: Sample) -> None:
        rate, product, least = self._rates.value, self.product, MIN_DATAGRAMS * self._datagram_size
        if not rate or not self.minimum_round_trip:
            self.window += sample.acknowledged
            return
        state = self.state
        pacing_rate = max(self._pacing_gain * rate, least / max(self.minimum_round_trip, 1.0))
        if state is State.PROBE_ROUND_TRIP:
            target = self._probe_flight
        else:
            clump = 0.0 if state is State.STARTUP else self._excess.value
            writes = min(3 * pacing_rate * TICK, WRITES_AHEAD * MAX_QUANTUM)
            if self._overflow.contended:
                writes = max(writes, CONTENDED_DATAGRAMS * self._datagram_size)
            target = self._window_gain * product + clump + writes
            if state is State.STARTUP:
                late = WINDOW_GAIN * rate * self._spread.value  # a round trip takes longer than its minimum
                doubled = self._doubled(sample)
                target = max(target + late, doubled)
                pacing_rate = max(pacing_rate, STARTUP_GAIN * doubled / self.minimum_round_trip)
        bound = max(self._overflow.bound(sample.now), 0.75 * product)
        if self._overflow.contended and state is not State.STARTUP:
            bound = self._conservation.limit(sample, self.window, self._datagram_size)
        self.pacing_rate = pacing_rate
        self.window = int(max(min(target, bound), least))

    @property
    def _probe_flight(self) -> float:
        """Bytes in flight during a probe of the round trip."""
        return PROBE_ROUND_TRIP_GAIN * (self._earlier_flight if self._looking else self.product)

    @property
    def _lacks(self) -> bool:
        """Whether nobody else yields, and this end has less than half of the path."""
        return self._overflow.contended and self._share.lacks(self._last_rate)

    @property
    def _window_gain(self) -> float:
        """How many products may be in flight."""
        return WINDOW_GAIN_WITH_LESS if self._lacks else WINDOW_GAIN

    @property
    def _pacing_gain(self) -> float:
        if self.state is State.UP:
            return UP_GAIN_WITH_LESS if self._lacks else self._up_gain
        return self._down_gain if self.state is State.DOWN else PACING_GAINS[self.state]

    def _doubled(self, sample: Sample) -> int:
        """The window of slow start, RFC 9002 section 7.3.1, as long as it is small."""
        queue = sample.round_trip - self.minimum_round_trip
        empty = queue <= max(self.minimum_round_trip * SLOW_START_QUEUE, LEAST_SLOW_START_QUEUE)
        most = SLOW_START_DATAGRAMS if empty and self._round.loss <= STARTUP_LOSS else FEW_DATAGRAMS
        used = 2 * (sample.in_flight + sample.acknowledged) >= self.window  # RFC 9002 section 7.8; pacing holds some
        return min(self.window + sample.acknowledged * used, most * self._datagram_size)
