"""One end of one session: what seals, opens and counts the datagrams of its three ports.

datagram -> length -> epoch -> tag -> replay filter -> believed

A burst goes through the same checks, all of its datagrams through one before any goes through the replay filter; a run
of a stream goes through that at once. A read that is one run, as nearly all of them are, is opened where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from cryptography.exceptions import InvalidTag

from ..errors import DatagramTooShort, EpochNotAccepted, NotAuthentic
from ..wire.datagram import DATA, LINK_CHANNEL, OVERHEAD, UNLOSSY, Opened, Run
from .counters import Counters
from .encryptor import CommEncryptor
from .read_buffer import LARGE, Group, ReadBuffer, Reads
from .replay import ReplayFilter

_UNLOSSY_BIT = UNLOSSY << 24


class Link:
    """The state that the three ports of one end share: one encryptor, one sequence space a direction."""

    __slots__ = ("encryptor", "next_sequence", "replay")

    def __init__(self, encryptor: CommEncryptor) -> None:
        self.encryptor = encryptor
        self.replay = ReplayFilter()
        self.next_sequence = 0

    def seal(self, payload: bytes, flags: int, channel: int = 0, offset: int = 0) -> bytes:
        """The datagram that carries `payload`, with the next sequence."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        return self.encryptor.encrypt(payload, b"", flags, channel, sequence, offset)

    def seal_burst(
        self, payload: bytes | memoryview, chunk_size: int, flags: int, channel: int, offset: int
    ) -> bytes | memoryview:
        """Datagrams of `chunk_size` bytes of `payload` each, the last may have less, with the next sequences; joined.

        An empty payload makes one datagram. What is returned is good until the next burst of the process.
        """
        sequence = self.next_sequence
        self.next_sequence = sequence + (-(-len(payload) // chunk_size) or 1)
        return self.encryptor.seal_burst(payload, chunk_size, flags, channel, sequence, offset)

    def open_untrusted(self, datagram: bytes, counters: Counters) -> Opened | None:
        """What an authentic and new datagram says; None, and one drop counted, for any other."""
        opened = self._open(datagram, counters)
        if opened is None:
            return None
        if not self.replay.accept(opened.sequence):
            counters.replayed += 1
            return None
        counters.received += 1
        counters.bytes_received += len(datagram)
        return opened

    def _open(self, datagram: bytes, counters: Counters) -> Opened | None:
        """What an authentic datagram says, which may have come before."""
        try:
            return self.encryptor.open_untrusted(datagram)
        except NotAuthentic:
            counters.not_authentic += 1
        except EpochNotAccepted:
            counters.epoch_not_accepted += 1
        except DatagramTooShort:
            counters.too_short += 1
        return None

    def open_burst_untrusted(self, datagrams: list[bytes], counters: Counters) -> list[Run]:
        """What the authentic and new ones among `datagrams` say, in their order; a drop is counted for each other one.

        Those that follow one another in a stream are one `Run`.
        """
        runs = _Runs()
        self._open_one_by_one(datagrams, runs, counters)
        return self._new_runs(runs, counters)

    def open_reads_untrusted(self, buffer: ReadBuffer, reads: Reads, counters: Counters) -> list[Run]:
        """The same of the datagrams of `reads`. The payloads of large ones are views, good until the next turn."""
        runs = _Runs()
        for group in buffer.groups(reads):
            if not (group.in_place and self._open_in_place(buffer, group, runs)):
                self._open_one_by_one(buffer.datagrams(group), runs, counters)
        return self._new_runs(runs, counters)

    def _open_one_by_one(self, datagrams: list[bytes], runs: _Runs, counters: Counters) -> None:
        for datagram in datagrams:
            opened = self._open(datagram, counters)
            if opened is not None:
                flags, channel, sequence, offset, payload = opened
                runs.add(flags << 24 | channel, sequence, offset, [payload], len(payload))

    def _open_in_place(self, buffer: ReadBuffer, group: Group, runs: _Runs) -> bool:
        """Whether all of a group are authentic, and of the current epoch; if not, nothing has changed."""
        epoch, key = self.encryptor.current_receive_key
        if buffer.epoch(group) != epoch:
            return False
        decrypt_into = key.decrypt_into  # which opens no other epoch's
        views = buffer.views(group)
        try:
            for nonce, sealed, opened, _ in views:
                decrypt_into(nonce, sealed, None, opened)
        except InvalidTag:
            return False
        payloads = [payload for _, _, _, payload in views]
        headers = buffer.headers(group)
        word, sequence, offset = headers[0]
        count, chunk_size = group.datagrams, group.size - OVERHEAD
        offsets = range(offset, offset + count * chunk_size, chunk_size)
        expected = zip(repeat(word, count), range(sequence, sequence + count), offsets, strict=True)
        if word & _UNLOSSY_BIT and headers == list(expected):
            runs.add(word, sequence, offset, payloads, count * chunk_size)
        else:
            for (word, sequence, offset), payload in zip(headers, payloads, strict=True):
                runs.add(word, sequence, offset, [payload], chunk_size)
        return True

    def _new_runs(self, runs: _Runs, counters: Counters) -> list[Run]:
        """What of `runs` had not come before."""
        replay = self.replay
        new: list[Run] = []
        for word, sequence, offset, payloads in runs.found:
            if replay.accept_run(sequence, sequence + len(payloads) - 1):
                new.append(_run(word, sequence, offset, payloads))
                continue
            at = offset
            for number, payload in enumerate(payloads, sequence):  # each by itself
                if replay.accept(number):
                    new.append(_run(word, number, at, [payload]))
                else:
                    counters.replayed += 1
                at += len(payload)
        for run in new:
            counters.received += run.datagrams
            counters.bytes_received += run.length + OVERHEAD * run.datagrams
        return new


class _Runs:
    """Authentic datagrams: those that follow one another in a stream are put together, what may be lost stays apart."""

    __slots__ = ("_after", "_end", "_word", "found")

    def __init__(self) -> None:
        self.found: list[tuple[int, int, int, list[bytes | memoryview]]] = []
        """Flags and channel in one word, sequence and offset of the first, and the payloads."""
        self._word = self._after = self._end = -1  # what the next datagram has to have to join the ones before it

    def add(self, word: int, sequence: int, offset: int, payloads: Sequence[bytes | memoryview], length: int) -> None:
        """`length` bytes of payload have come."""
        if sequence == self._after and offset == self._end and word == self._word:
            self.found[-1][3].extend(payloads)
        else:
            self._word = word if word & _UNLOSSY_BIT else -1
            self.found.append((word, sequence, offset, list(payloads)))
        self._after = sequence + len(payloads)
        self._end = offset + length


def _run(word: int, sequence: int, offset: int, payloads: list[bytes | memoryview]) -> Run:
    """Large chunks of a stream stay where they are: to copy them would take as long as to open them."""
    flags, channel, count = word >> 24, word & 0xFFFFFF, len(payloads)
    if not (len(payloads[0]) >= LARGE - OVERHEAD and channel != LINK_CHANNEL and flags & DATA and flags & UNLOSSY):
        payloads = [b"".join(payloads)]
    return Run(flags, channel, sequence, offset, payloads, count)
