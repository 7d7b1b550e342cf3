"""One end of one session: what seals, opens and counts the datagrams of its three ports.

datagram -> length -> epoch -> tag -> replay filter -> believed

A burst goes through the same checks, all of its datagrams through one before any goes through the replay filter; a run
of a stream goes through that at once.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag

from ..errors import DatagramTooShort, EpochNotAccepted, NotAuthentic
from ..wire.datagram import EPOCH_SIZE, HEADER_SIZE, NONCE_SIZE, OVERHEAD, UNLOSSY, Opened, Run, unpack_numbers
from .counters import Counters
from .encryptor import CommEncryptor
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

    def seal_burst(self, payload: bytes, chunk_size: int, flags: int, channel: int, offset: int) -> bytes:
        """Datagrams of `chunk_size` bytes of `payload` each, the last may have less, with the next sequences; joined.

        An empty payload makes one datagram.
        """
        sequence = self.next_sequence
        self.next_sequence = sequence + (-(-len(payload) // chunk_size) or 1)
        return b"".join(self.encryptor.seal_burst(payload, chunk_size, flags, channel, sequence, offset))

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
            except (InvalidTag, struct.error):  # once more, slowly: another epoch, or for the name of what is wrong
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

    def _new_runs(self, runs: list[Run], counters: Counters) -> list[Run]:
        """What of `runs` had not come before."""
        replay = self.replay
        new: list[Run] = []
        for run in runs:
            first, count = run.sequence, len(run.payloads)
            if replay.accept_run(first, first + count - 1):
                new.append(run)
                continue
            offset = run.offset
            for sequence, payload in enumerate(run.payloads, first):  # each by itself
                if replay.accept(sequence):
                    new.append(Run(run.flags, run.channel, sequence, offset, [payload]))
                else:
                    counters.replayed += 1
                offset += len(payload)
        for run in new:
            counters.received += len(run.payloads)
            counters.bytes_received += run.length + OVERHEAD * len(run.payloads)
        return new
