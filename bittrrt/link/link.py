"""One end of one session: what seals, opens and counts the datagrams of its three ports.

datagram -> length -> epoch -> tag -> replay filter -> believed

A burst goes through the same checks, all of its datagrams through one before any goes through the replay filter; a run
of a stream goes through that at once. A read that is one run, as nearly all of them are, is opened where it lies.
"""

from __future__ import annotations

import struct
from itertools import repeat

from cryptography.exceptions import InvalidTag

from ..errors import DatagramTooShort, EpochNotAccepted, NotAuthentic
from ..wire.datagram import EPOCH_SIZE, HEADER_SIZE, NONCE_SIZE, OVERHEAD, UNLOSSY, Opened, Run, unpack_numbers
from .counters import Counters
from .encryptor import CommEncryptor
from .joined import JoinedBuffer
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
        opened_runs: list[Run] = []
        epoch, key = self.encryptor.current_receive_key
        decrypt = key.decrypt
        joined = after = end = -1  # what the next datagram has to have to join the run before it
        payloads: list[bytes] = []
        for datagram in datagrams:
            nonce = datagram[:NONCE_SIZE]
            try:
                if nonce[:EPOCH_SIZE] != epoch:
                    raise InvalidTag
                plain = decrypt(nonce, datagram[NONCE_SIZE:], b"")
                word, sequence, offset = unpack_numbers(plain)
                payload = plain[HEADER_SIZE:]
            except (InvalidTag, ValueError, struct.error):  # slowly: another epoch, or for the name of what is wrong
                opened = self._open(datagram, counters)
                if opened is None:
                    continue
                flags, channel, sequence, offset, payload = opened
                word = flags << 24 | channel
                epoch, key = self.encryptor.current_receive_key
                decrypt = key.decrypt
            if sequence == after and offset == end and word == joined:
                payloads.append(payload)
            else:
                joined = word if word & _UNLOSSY_BIT else -1  # what may be lost stays apart
                payloads = [payload]
                opened_runs.append(Run(word >> 24, word & 0xFFFFFF, sequence, offset, payloads))
            after = sequence + 1
            end = offset + len(payload)
        return self._new_runs(opened_runs, counters)

    def open_joined_untrusted(self, joined: JoinedBuffer, length: int, size: int, counters: Counters) -> list[Run]:
        """`open_burst_untrusted` of one read: `length` bytes, datagrams of `size` bytes, the last may have less."""
        count = length // size
        run = self._open_run(joined, count, size)
        if run is None:
            return self.open_burst_untrusted(joined.datagrams(length, size), counters)
        runs = self._new_runs([run], counters)
        if length % size:
            runs += self.open_burst_untrusted([bytes(joined.received[count * size : length])], counters)
        return runs

    def _open_run(self, joined: JoinedBuffer, count: int, size: int) -> Run | None:
        """`count` datagrams of `size` bytes, if all are authentic and one run of a stream; if not, None."""
        if size <= OVERHEAD or not count:
            return None
        cut = joined.cut(size)
        if count > len(cut.parts):
            return None
        decrypt_into = self.encryptor.current_receive_key[1].decrypt_into  # which opens no other epoch's
        try:
            for nonce, sealed, opened in cut.parts[:count]:
                decrypt_into(nonce, sealed, None, opened)
        except InvalidTag:
            return None
        headers = list(cut.headers(cut.opened[: count * cut.stride]))
        word, sequence, offset = headers[0]
        offsets = range(offset, offset + count * cut.chunk_size, cut.chunk_size)
        expected = zip(repeat(word, count), range(sequence, sequence + count), offsets, strict=True)
        if not word & _UNLOSSY_BIT or headers != list(expected):
            return None
        return Run(word >> 24, word & 0xFFFFFF, sequence, offset, [b"".join(cut.payloads[:count])], count)

    def _new_runs(self, runs: list[Run], counters: Counters) -> list[Run]:
        """What of `runs` had not come before."""
        replay = self.replay
        new: list[Run] = []
        for run in runs:
            first, count = run.sequence, run.datagrams
            if replay.accept_run(first, first + count - 1):
                new.append(run)
                continue
            offset = run.offset
            payloads = run.payloads
            if run.joined:
                chunk_size = run.length // count
                payloads = [payloads[0][at : at + chunk_size] for at in range(0, run.length, chunk_size)]
            for sequence, payload in enumerate(payloads, first):  # each by itself
                if replay.accept(sequence):
                    new.append(Run(run.flags, run.channel, sequence, offset, [payload]))
                else:
                    counters.replayed += 1
                offset += len(payload)
        for run in new:
            counters.received += run.datagrams
            counters.bytes_received += run.length + OVERHEAD * run.datagrams
        return new
