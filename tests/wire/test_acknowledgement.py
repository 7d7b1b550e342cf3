from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import MalformedAcknowledgement
from bittrrt.wire.acknowledgement import (
    MAX_CHANNELS,
    MAX_SPANS,
    Acknowledgement,
    pack_acknowledgement,
    parse_acknowledgement_untrusted,
)


@st.composite
def acknowledgements(draw: st.DrawFn) -> Acknowledgement:
    at = draw(st.integers(2**41, 2**63))
    spans = []
    for length, missing in draw(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 2**20)), max_size=64)):
        spans.append((at - length, at))
        at -= length + missing + 1
        at -= 1
    channels = draw(st.sets(st.integers(0, 2**24 - 1), max_size=MAX_CHANNELS))
    credit = st.integers(0, 2**64 - 1)
    return Acknowledgement(
        delay=draw(st.integers(0, 2**32 - 1)),
        credit=draw(credit),
        received=draw(credit),
        channel_credits=tuple((channel, draw(credit)) for channel in sorted(channels)),
        spans=tuple(spans),
    )


class AcknowledgementTests(SynchronousTestCase):
    @given(acknowledgements())
    def test_what_is_packed_is_what_is_parsed(self, acknowledgement: Acknowledgement) -> None:
        packed = pack_acknowledgement(acknowledgement)
        self.assertEqual(parse_acknowledgement_untrusted(packed), acknowledgement)
        self.assertLessEqual(len(packed), 730)

    @given(st.binary(max_size=200))
    def test_random_bytes_raise_the_named_error_or_parse(self, data: bytes) -> None:
        with contextlib.suppress(MalformedAcknowledgement):
            parse_acknowledgement_untrusted(data)

    @given(acknowledgements(), st.data())
    def test_no_beginning_of_a_frame_is_a_frame(self, acknowledgement: Acknowledgement, data: st.DataObject) -> None:
        packed = pack_acknowledgement(acknowledgement)
        size = data.draw(st.integers(0, len(packed) - 1))
        self.assertRaises(MalformedAcknowledgement, parse_acknowledgement_untrusted, packed[:size])
        self.assertRaises(MalformedAcknowledgement, parse_acknowledgement_untrusted, packed + b"\0")

    def test_the_bytes_are_those_of_the_picture(self) -> None:
        packed = pack_acknowledgement(Acknowledgement(1000, 2, 3, ((5, 6),), ((7, 9), (4, 4))))
        self.assertEqual(
            packed.hex(),
            "000003e8"
            "0000000000000002"
            "0000000000000003"
            "01"
            "02"
            "00000005"
            "0000000000000006"
            "0000000000000009"
            "00000002"
            "00000002"
            "00000000",
        )

    def test_spans_that_touch_channels_out_of_order_and_negative_sequences_are_refused(self) -> None:
        head = bytes(20)
        span = (9).to_bytes(8, "big")
        bad = [
            head + b"\0\2" + span + bytes(4) + bytes(4) + bytes(4),  # no gap between two spans
            head + b"\0\1" + span + (10).to_bytes(4, "big"),  # begins at -1
            head + b"\2\0" + (2).to_bytes(4, "big") + bytes(8) + (1).to_bytes(4, "big") + bytes(8),
            head + b"\1\0" + (1 << 24).to_bytes(4, "big") + bytes(8),
            head + bytes([17, 0]) + bytes(12 * 17),
            head + bytes([0, 65]) + bytes(12 + 64 * 8),
        ]
        for payload in bad:
            self.assertRaises(MalformedAcknowledgement, parse_acknowledgement_untrusted, payload)

    def test_what_32_bits_cannot_say_is_cut_at_the_old_end(self) -> None:
        old = Acknowledgement(0, 0, 0, (), ((2**40, 2**41), (5, 6)))
        parsed = parse_acknowledgement_untrusted(pack_acknowledgement(old))
        self.assertEqual(parsed.spans[0], (2**41 - 2**32 + 1, 2**41))
        far = Acknowledgement(0, 0, 0, (), ((2**41, 2**41), (5, 6)))
        self.assertEqual(parse_acknowledgement_untrusted(pack_acknowledgement(far)).spans, ((2**41, 2**41),))

    def test_too_many_spans_or_channels_are_the_callers_mistake(self) -> None:
        spans = tuple((at, at) for at in range(2 * MAX_SPANS + 2, 0, -2))
        self.assertRaises(ValueError, pack_acknowledgement, Acknowledgement(0, 0, 0, (), spans))
        credits_ = tuple((at, 0) for at in range(MAX_CHANNELS + 1))
        self.assertRaises(ValueError, pack_acknowledgement, Acknowledgement(0, 0, 0, credits_, ()))
