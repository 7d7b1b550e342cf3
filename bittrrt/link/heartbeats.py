"""The echo countdown: what each end awaits, and the round trip that an answer shows.

    client                                server
    begun      echo=2  -------------->                    the client awaits echo=1
               echo=1  <--------------    answered        the server awaits the return
    returned   echo=1  -------------->                    server: one round trip; the client awaits echo=0
               echo=0  <--------------    answered        client: a second round trip

Times are seconds of one monotonic clock at each end, so that no clock that is set can disturb them; the milliseconds in
the text are for the clock offset and for people.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..wire.heartbeat import Heartbeat

MAX_AWAITED: Final = 64  # answers under way at the same time on one port; an older one is given up


class RoundTripSample(NamedTuple):
    """An answer that was awaited has come."""

    sent_at: float
    round_trip: float


class _Awaited:
    """When something was sent that is to be answered, by the `client_ts3` of its heartbeat. Bounded, oldest first."""

    __slots__ = ("_sent",)

    def __init__(self) -> None:
        self._sent: dict[int, tuple[int, float]] = {}

    def put(self, client_ts3: int, mark: int, now: float) -> None:
        self._sent.pop(client_ts3, None)  # one that is sent again is the newest
        self._sent[client_ts3] = mark, now
        if len(self._sent) > MAX_AWAITED:
            del self._sent[next(iter(self._sent))]

    def take(self, client_ts3: int, mark: int, now: float) -> RoundTripSample | None:
        awaited = self._sent.get(client_ts3)
        if awaited is None or awaited[0] != mark:
            return None
        del self._sent[client_ts3]
        return RoundTripSample(awaited[1], now - awaited[1])

    def forget(self, client_ts3: int) -> None:
        self._sent.pop(client_ts3, None)

    def give_up(self, sent_before: float) -> int:
        """Forget what was sent before that time; how many those were."""
        count = 0
        while self._sent:
            oldest = next(iter(self._sent))
            if self._sent[oldest][1] >= sent_before:
                break
            del self._sent[oldest]
            count += 1
        return count


class ClientCountdown:
    """The client's end of the countdown on one port."""

    __slots__ = ("_first", "_second")

    def __init__(self) -> None:
        self._first = _Awaited()
        self._second = _Awaited()

    def begun(self, client_ts3: int, sent_at: float) -> None:
        """A heartbeat was sent: await its first answer."""
        self._first.put(client_ts3, 0, sent_at)

    def answered(self, heartbeat: Heartbeat, now: float) -> RoundTripSample | None:
        """The round trip that an answer shows; None if none such is awaited, and it deserves nothing.

        One that is awaited and has `echo=1` is to be returned as it is.
        """
        if heartbeat.echo == 1:
            return self._first.take(heartbeat.client_ts3, 0, now)
        return self._second.take(heartbeat.client_ts3, 0, now) if heartbeat.echo == 0 else None

    def returned(self, client_ts3: int, sent_at: float) -> None:
        """The first answer was sent back: await the second."""
        self._second.put(client_ts3, 0, sent_at)

    def forget(self, client_ts3: int) -> None:
        """Await nothing more of that heartbeat."""
        self._first.forget(client_ts3)
        self._second.forget(client_ts3)


class ServerCountdown:
    """The server's end of the countdown on one port."""

    __slots__ = ("_returns",)

    def __init__(self) -> None:
        self._returns = _Awaited()

    def answered(self, client_ts3: int, server_ts2: int, sent_at: float) -> None:
        """A heartbeat with `echo=2` was answered: await its return."""
        self._returns.put(client_ts3, server_ts2, sent_at)

    def returned(self, heartbeat: Heartbeat, now: float) -> RoundTripSample | None:
        """The round trip that a heartbeat with `echo=1` shows; None if it is no return of an answer of ours."""
        return self._returns.take(heartbeat.client_ts3, heartbeat.server_ts2 or 0, now)

    def give_up(self, sent_before: float) -> int:
        """Forget what was answered before that time and never came back; how many those were."""
        return self._returns.give_up(sent_before)
