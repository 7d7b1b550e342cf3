"""The header, byte for byte."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.wire import datagram
from bittrrt.wire.datagram import HEADER_SIZE, OVERHEAD, MsgFlags, Opened, PortType, pack_header, unpack

U8, U24, U64 = 2**8 - 1, 2**24 - 1, 2**64 - 1


class HeaderTests(SynchronousTestCase):
    def test_the_layout_is_the_seeds(self) -> None:
        header = pack_header(0x03, 0x010203, 0x1112131415161718, 0x2122232425262728)
        self.assertEqual(header.hex(), "0301020311121314151617182122232425262728")

    def test_the_channel_is_packed_as_the_seed_packs_it(self) -> None:
        for channel in (0, 1, 0xFF, 0x100, 0xFFFF, 0x10000, 0x123456, U24):
            header = pack_header(0, channel, 0, 0)
            self.assertEqual(header[1:4], struct.pack(">I", channel & 0xFFFFFF)[1:])
            self.assertEqual(struct.unpack(">I", b"\x00" + header[1:4])[0], channel)

    def test_the_sizes_are_the_seeds(self) -> None:
        self.assertEqual((HEADER_SIZE, OVERHEAD), (20, 48))
        self.assertEqual(len(pack_header(U8, U24, U64, U64)), HEADER_SIZE)

    def test_a_number_that_does_not_fit_its_field_is_refused_never_masked(self) -> None:
        for at, largest in enumerate((U8, U24, U64, U64)):
            for number in (-1, largest + 1, -largest, 2**100, -(2**100)):
                fields = [0, 0, 0, 0]
                fields[at] = number
                self.assertRaises(ValueError, pack_header, *fields)
            fields = [0, 0, 0, 0]
            fields[at] = largest
            self.assertEqual(unpack(pack_header(*fields))[:4], tuple(fields))

    @given(st.integers(0, U8), st.integers(0, U24), st.integers(0, U64), st.integers(0, U64), st.binary(max_size=40))
    def test_what_was_packed_is_what_is_unpacked(
        self, flags: int, channel: int, sequence: int, offset: int, payload: bytes
    ) -> None:
        opened = unpack(pack_header(flags, channel, sequence, offset) + payload)
        self.assertEqual(opened, Opened(flags, channel, sequence, offset, payload))

    @given(st.tuples(*[st.integers()] * 4))
    def test_any_numbers_are_packed_whole_or_refused(self, fields: tuple[int, int, int, int]) -> None:
        fits = all(0 <= number <= largest for number, largest in zip(fields, (U8, U24, U64, U64), strict=True))
        try:
            header = pack_header(*fields)
        except ValueError:
            self.assertFalse(fits)
        else:
            self.assertTrue(fits)
            self.assertEqual(unpack(header), (*fields, b""))


class NameTests(SynchronousTestCase):
    def test_the_flags_are_the_seeds_bit_positions(self) -> None:
        names = ["URGENT", "HEARTBEAT", "FLOW_CONTROL", "UNLOSSY", "BINARY", "DATA"]
        self.assertEqual([(flag.name, flag.value) for flag in MsgFlags], list(zip(names, range(6), strict=True)))

    def test_the_masks_are_those_of_the_bits(self) -> None:
        for flag in MsgFlags:
            self.assertEqual(getattr(datagram, flag.name), 1 << flag.value)
        self.assertEqual(datagram.HEARTBEAT_FLAGS, 3)

    def test_there_are_three_ports(self) -> None:
        self.assertEqual([port.value for port in PortType], ["ctrl", "up", "dn"])
