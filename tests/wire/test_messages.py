"""The rendezvous' and the link's messages: strict, and one named error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import MalformedMessage
from bittrrt.wire.datagram import PortType
from bittrrt.wire.messages import (
    MAX_MESSAGE,
    MAX_NAME,
    CipherName,
    Close,
    CloseReason,
    Join,
    Joined,
    Observed,
    Open,
    RefusalReason,
    Refused,
    Welcome,
    encode_message,
    parse_client_message_untrusted,
    parse_link_message_untrusted,
    parse_server_message_untrusted,
)

PARSERS: list[Callable[[bytes], object]] = [
    parse_client_message_untrusted,
    parse_server_message_untrusted,
    parse_link_message_untrusted,
]

texts = st.text(st.characters(codec="utf-8"), max_size=MAX_NAME)
public_keys = st.binary(min_size=32, max_size=32)
port_numbers = st.integers(1, 65535)
link_ids = st.one_of(st.just(""), st.binary(min_size=16, max_size=16).map(bytes.hex))
ciphers: st.SearchStrategy[CipherName] = st.sampled_from(get_args(CipherName))

client_messages: st.SearchStrategy[Join | Open] = st.one_of(
    st.builds(Join, texts, st.binary(max_size=64), texts), st.builds(Open, public_keys, link_ids, ciphers)
)
server_messages: st.SearchStrategy[Joined | Welcome | Refused] = st.one_of(
    st.builds(Joined, texts),
    st.builds(
        Welcome,
        public_keys,
        *[port_numbers] * 3,
        st.integers(10, 3_600_000),
        st.integers(20, 86_400_000),
        ciphers,
    ),
    st.builds(Refused, st.sampled_from(RefusalReason)),
)
link_messages: st.SearchStrategy[Close | Observed] = st.one_of(
    st.builds(Close, st.sampled_from(CloseReason)),
    st.builds(Observed, st.sampled_from(PortType), texts, port_numbers),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.sampled_from(["open", "join", "close"])),
    lambda values: st.one_of(
        st.lists(values, max_size=4),
        st.dictionaries(
            st.one_of(texts, st.sampled_from(["type", "public_key", "reason", "name"])), values, max_size=4
        ),
    ),
    max_leaves=10,
)


def as_json(message: Any) -> dict[str, Any]:
    """The message's JSON, to be changed."""
    return dict(json.loads(encode_message(message)))


OPEN = as_json(Open(bytes(32)))
JOIN = as_json(Join("verifier", b"proof", "name"))
WELCOME = as_json(Welcome(bytes(32), 6712, 6713, 6714, 5000, 30_000))
OBSERVED = as_json(Observed(PortType.UP, "192.0.2.1", 5))


class JsonTests(SynchronousTestCase):
    def test_the_json_is_the_documented_one(self) -> None:
        self.assertEqual(encode_message(Close(CloseReason.GOODBYE)), b'{"type":"close","reason":"goodbye"}')
        self.assertEqual(encode_message(Refused(RefusalReason.NO_PORTS)), b'{"type":"refused","reason":"no-ports"}')
        self.assertEqual(
            encode_message(Observed(PortType.UP, "::1", 5)), b'{"type":"observed","port":"up","host":"::1","number":5}'
        )
        self.assertEqual(
            OPEN, {"type": "open", "public_key": "A" * 43 + "=", "replaces": "", "cipher": "chacha20-poly1305"}
        )

    def test_a_welcome_knows_its_ports_by_type(self) -> None:
        welcome = Welcome(bytes(32), 1, 2, 3, 5000, 30_000)
        self.assertEqual([welcome.port(port) for port in (PortType.CTRL, PortType.UP, PortType.DN)], [1, 2, 3])

    def test_every_message_fits_its_bound(self) -> None:
        for message in (
            Join("\N{GRINNING FACE}" * 64, bytes(64), "\N{GRINNING FACE}" * 64),
            Welcome(bytes(32), 65535, 65535, 65535, 3_600_000, 86_400_000),
            Observed(PortType.CTRL, "\x00" * 64, 65535),
        ):
            self.assertLess(len(encode_message(message)), MAX_MESSAGE)

    @given(client_messages)
    def test_every_client_message_survives(self, message: Join | Open) -> None:
        self.assertEqual(parse_client_message_untrusted(encode_message(message)), message)

    @given(server_messages)
    def test_every_server_message_survives(self, message: Joined | Welcome | Refused) -> None:
        self.assertEqual(parse_server_message_untrusted(encode_message(message)), message)

    @given(link_messages)
    def test_every_link_message_survives(self, message: Close | Observed) -> None:
        self.assertEqual(parse_link_message_untrusted(encode_message(message)), message)


class StrictTests(SynchronousTestCase):
    def refused(self, parse: Callable[[bytes], object], message: dict[str, Any]) -> None:
        self.assertRaises(MalformedMessage, parse, json.dumps(message).encode())

    def test_an_unknown_field_or_type_is_refused(self) -> None:
        for parse, message in zip(PARSERS, (OPEN, WELCOME, OBSERVED), strict=True):
            parse(json.dumps(message).encode())
            self.refused(parse, message | {"more": 1})
            self.refused(parse, message | {"type": "else"})
            self.refused(parse, {name: value for name, value in message.items() if name != "type"})

    def test_a_missing_field_is_refused(self) -> None:
        for name in ("public_key", "ctrl", "up", "dn", "heartbeat", "stale_after"):
            self.refused(parse_server_message_untrusted, {key: WELCOME[key] for key in WELCOME if key != name})

    def test_a_message_of_the_other_side_is_refused(self) -> None:
        self.refused(parse_client_message_untrusted, WELCOME)
        self.refused(parse_server_message_untrusted, OPEN)
        self.refused(parse_link_message_untrusted, OPEN)
        self.refused(parse_client_message_untrusted, as_json(Close(CloseReason.STALE)))

    def test_numbers_out_of_range_are_refused(self) -> None:
        for name, numbers in {
            "ctrl": (0, -1, 65536, 1.5, "1", None, True),
            "heartbeat": (9, 3_600_001, 10**30),
            "stale_after": (19, 86_400_001),
        }.items():
            for number in numbers:
                self.refused(parse_server_message_untrusted, WELCOME | {name: number})

    def test_keys_and_texts_of_another_size_are_refused(self) -> None:
        for key in ("", "A" * 43, "A" * 42 + "==", "A" * 44, "!" * 44, 32 * [0]):
            self.refused(parse_client_message_untrusted, OPEN | {"public_key": key})
        self.refused(parse_client_message_untrusted, JOIN | {"name": "n" * 65})
        self.refused(parse_client_message_untrusted, JOIN | {"verifier": "v" * 65})
        self.refused(parse_client_message_untrusted, JOIN | {"proof": "A" * 88})  # 66 bytes

    def test_a_link_is_named_in_lower_case_hexadecimal_or_not_at_all(self) -> None:
        for text in ("a" * 31, "a" * 33, "A" * 32, "g" * 32, "a" * 32 + "\n", "\n", " ", "a" * 64):
            self.refused(parse_client_message_untrusted, OPEN | {"replaces": text})

    def test_an_unknown_reason_is_refused(self) -> None:
        self.refused(parse_link_message_untrusted, {"type": "close", "reason": "because"})
        self.refused(parse_server_message_untrusted, {"type": "refused", "reason": "because"})

    def test_what_is_too_long_is_refused_unread(self) -> None:
        message = encode_message(Open(bytes(32)))
        parse_client_message_untrusted(message.ljust(MAX_MESSAGE))
        self.assertRaises(MalformedMessage, parse_client_message_untrusted, message.ljust(MAX_MESSAGE + 1))

    def test_hostile_json_is_refused(self) -> None:
        for data in (
            b"",
            b"[" * MAX_MESSAGE,
            b'{"type":' * 1000,
            b'{"type":"join","verifier":' + b"[" * 8000,
            b'{"type":"join","verifier":"","proof":"","name":"\xff"}',
            b'{"type":"join","verifier":"","proof":"","name":"\\ud800"}',
            b'{"type":"close","reason":"goodbye"}{}',
            b"1e999",
            b"NaN",
            b"\xef\xbb\xbf{}",
        ):
            for parse in PARSERS:
                self.assertRaises(MalformedMessage, parse, data)


class UntrustedTests(SynchronousTestCase):
    def parsed(self, data: bytes) -> None:
        for parse in PARSERS:
            try:
                message = parse(data)
            except MalformedMessage:
                continue
            self.assertIsInstance(message, msgspec.Struct)

    @given(st.binary(max_size=300))
    @example(b'"\xff"')
    def test_any_bytes_raise_the_named_error_only(self, data: bytes) -> None:
        self.parsed(data)

    @given(json_values)
    def test_any_json_raises_the_named_error_only(self, value: object) -> None:
        self.parsed(json.dumps(value).encode())

    @given(st.one_of(client_messages, server_messages, link_messages), st.data())
    def test_a_changed_message_is_another_one_or_the_named_error(self, message: Any, data: st.DataObject) -> None:
        encoded = bytearray(encode_message(message))
        for _ in range(data.draw(st.integers(1, 3))):
            encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
        self.parsed(bytes(encoded))
