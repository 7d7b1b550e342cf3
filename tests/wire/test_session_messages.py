"""Messages of sessions: what is packed is parsed, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import MalformedMessage
from bittrrt.wire.session_messages import (
    MAX_DATA,
    Kind,
    SessionMessage,
    pack_session_message,
    parse_session_message_untrusted,
)

CHANNELS = st.integers(1, 2**24 - 1)


class SessionMessageTests(SynchronousTestCase):
    @given(CHANNELS, st.binary(max_size=100))
    def test_a_message_is_what_it_was(self, channel: int, data: bytes) -> None:
        message = SessionMessage(Kind.MESSAGE, channel, data)
        self.assertEqual(parse_session_message_untrusted(pack_session_message(message)), message)

    @given(CHANNELS, st.integers(0, 2**63 - 1))
    def test_an_end_is_what_it_was(self, channel: int, size: int) -> None:
        message = SessionMessage(Kind.END, channel, size=size)
        self.assertEqual(parse_session_message_untrusted(pack_session_message(message)), message)

    @given(st.binary(max_size=20))
    def test_anything_else_is_malformed_and_nothing_worse(self, data: bytes) -> None:
        try:
            message = parse_session_message_untrusted(data)
        except MalformedMessage:
            return
        self.assertEqual(pack_session_message(message), data)

    def test_what_is_cut_or_names_no_channel_or_no_kind_is_malformed(self) -> None:
        for text in ("", "03", "0300", "000000", "00000001", "08000001", "03000000", "0300000100", "05000001",
                     "05000001ffffffffffffffff"):  # fmt: skip
            with self.assertRaises(MalformedMessage, msg=text):
                parse_session_message_untrusted(bytes.fromhex(text))

    def test_what_does_not_fit_is_not_packed(self) -> None:
        for message in (
            SessionMessage(Kind.OPEN, 0),
            SessionMessage(Kind.OPEN, 2**24),
            SessionMessage(Kind.END, 1, size=2**63),
            SessionMessage(Kind.MESSAGE, 1, bytes(MAX_DATA + 1)),
        ):
            with self.assertRaises(ValueError):
                pack_session_message(message)
