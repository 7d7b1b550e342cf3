"""The heartbeat's text, against the seed's and against hostile ones."""

from __future__ import annotations

import string

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import MalformedHeartbeat
from bittrrt.wire.heartbeat import (
    MAX_PAIRS,
    MAX_TEXT,
    Heartbeat,
    answer_heartbeat,
    first_heartbeat,
    parse_heartbeat_untrusted,
)

MS = 1_700_000_000_123

milliseconds = st.integers(0, 10**16 - 1)
keys = st.from_regex(r"x[a-z0-9_]{0,31}", fullmatch=True)
values = st.text(string.ascii_letters + string.digits + ".-_:/", min_size=1, max_size=20)


class CountdownTextTests(SynchronousTestCase):
    def test_the_texts_are_byte_for_byte_the_seeds(self) -> None:
        text = first_heartbeat(MS)
        self.assertEqual(text, b"client_ts3=1700000000123 echo=2")
        text = answer_heartbeat(parse_heartbeat_untrusted(text), MS + 5)
        self.assertEqual(text, b"client_ts3=1700000000123 echo=1 server_ts2=1700000000128")
        text = answer_heartbeat(parse_heartbeat_untrusted(text), MS + 9)
        self.assertEqual(text, b"client_ts3=1700000000123 echo=0 server_ts2=1700000000128 server_ts1=1700000000132")
        self.assertEqual(parse_heartbeat_untrusted(text).echo, 0)

    def test_pairs_of_a_later_version_are_carried_along_in_their_place(self) -> None:
        text = b"later=1.5 client_ts3=7 mode=a/b;c echo=2 last_=~"
        answer = answer_heartbeat(parse_heartbeat_untrusted(text), 9)
        self.assertEqual(answer, b"later=1.5 client_ts3=7 mode=a/b;c echo=1 last_=~ server_ts2=9")

    def test_what_the_texts_say(self) -> None:
        heartbeat = parse_heartbeat_untrusted(b"client_ts3=7 echo=2")
        self.assertEqual(heartbeat, Heartbeat(7, 2, None, b"client_ts3=7 echo=2"))
        self.assertIsNone(heartbeat.server_ts2)
        self.assertEqual(parse_heartbeat_untrusted(b"client_ts3=7 echo=1 server_ts2=8").server_ts2, 8)

    @given(milliseconds, milliseconds, milliseconds, st.dictionaries(keys, values, max_size=6))
    def test_every_countdown_survives_its_text(
        self, client_ms: int, second: int, first: int, more: dict[str, str]
    ) -> None:
        text = first_heartbeat(client_ms) + b"".join(b" %s=%s" % (k.encode(), v.encode()) for k, v in more.items())
        for echo, server_ms in ((2, second), (1, first)):
            heartbeat = parse_heartbeat_untrusted(text)
            self.assertEqual((heartbeat.client_ts3, heartbeat.echo), (client_ms, echo))
            text = answer_heartbeat(heartbeat, server_ms)
        last = parse_heartbeat_untrusted(text)
        self.assertEqual((last.client_ts3, last.echo, last.server_ts2), (client_ms, 0, second))
        self.assertEqual(
            dict(pair.split("=") for pair in text.decode().split(" ")),
            {"client_ts3": str(client_ms), "echo": "0", "server_ts2": str(second), "server_ts1": str(first)} | more,
        )


class HostileTextTests(SynchronousTestCase):
    def refused(self, text: bytes) -> None:
        self.assertRaises(MalformedHeartbeat, parse_heartbeat_untrusted, text)

    def test_anything_but_a_countdown_is_refused(self) -> None:
        for text in (
            b"",
            b" ",
            b"hello",
            b"client_ts3=7",
            b"echo=2",
            b"client_ts3= echo=2",
            b"=7 echo=2",
            b"client_ts3=7  echo=2",
            b" client_ts3=7 echo=2",
            b"client_ts3=7 echo=2 ",
            b"client_ts3=7 echo=2\n",
            b"client_ts3=7\techo=2",
            b"client_ts3=7 echo=2\x00",
            b"client_ts3=7 echo=2 a",
            b"client_ts3=7 echo=2 A=1",
            b"client_ts3=7 echo=2 1a=1",
            b"client_ts3=7 echo=2 a=b=c",
            b"client_ts3=7 echo=2 a=\x1b[2J",
            b"client_ts3=7 echo=2 a=\xc3\xa9",
            b"client_ts3=7 echo=2 \xff",
            "client_ts3=\N{ARABIC-INDIC DIGIT ONE} echo=2".encode(),
        ):
            self.refused(text)

    def test_only_digits_make_a_time(self) -> None:
        for number in (b"-7", b"+7", b"7.0", b"0x7", b"1e9", b"7_000", b"seven", b"9" * 17):
            self.refused(b"client_ts3=%s echo=2" % number)
            self.refused(b"client_ts3=7 echo=1 server_ts2=%s" % number)
            self.refused(b"client_ts3=7 echo=0 server_ts2=7 server_ts1=%s" % number)
        parse_heartbeat_untrusted(b"client_ts3=%s echo=2" % (b"9" * 16))

    def test_an_echo_that_the_countdown_does_not_have_is_refused(self) -> None:
        for echo in (b"3", b"255", b"-1", b"02", b"2.0", b"9" * 60, b"true"):
            self.refused(b"client_ts3=7 echo=%s" % echo)

    def test_a_key_twice_is_refused(self) -> None:
        self.refused(b"client_ts3=7 echo=2 echo=2")
        self.refused(b"client_ts3=7 client_ts3=8 echo=2")
        self.refused(b"client_ts3=7 echo=2 a=1 a=1")

    def test_one_that_was_answered_already_is_refused(self) -> None:
        self.refused(b"client_ts3=7 echo=2 server_ts2=7")
        self.refused(b"client_ts3=7 echo=1 server_ts1=7")

    def test_length_and_count_are_bounded(self) -> None:
        head = b"client_ts3=7 echo=2"
        pairs = [b"a%d=1" % number for number in range(MAX_PAIRS - 2)]
        parse_heartbeat_untrusted(b" ".join([head, *pairs]))
        self.refused(b" ".join([head, *pairs, b"z=1"]))
        parse_heartbeat_untrusted(head + b" " + b"a" * 32 + b"=" + b"1" * 64)
        self.refused(head + b" " + b"a" * 33 + b"=1")
        self.refused(head + b" a=" + b"1" * 65)
        fill = b" ".join([head, *[b"f%d=" % number + b"1" * 64 for number in range(7)]])
        parse_heartbeat_untrusted(fill + b" z=" + b"1" * (MAX_TEXT - len(fill) - 3))
        self.refused(fill + b" z=" + b"1" * (MAX_TEXT - len(fill) - 2))
        self.refused(b"a" * 65_000)

    @given(st.one_of(st.binary(max_size=600), st.binary(max_size=100).map(b"client_ts3=7 echo=2 ".__add__)))
    @example(b"client_ts3=" + b"1" * 5000 + b" echo=2")
    def test_any_bytes_raise_the_named_error_only(self, payload: bytes) -> None:
        try:
            heartbeat = parse_heartbeat_untrusted(payload)
        except MalformedHeartbeat:
            return
        self.assertEqual(heartbeat.payload, payload)
        if heartbeat.echo:
            self.assertEqual(answer_heartbeat(heartbeat, 9).count(b" "), payload.count(b" ") + 1)

    @given(st.lists(st.tuples(st.sampled_from(["client_ts3", "echo", "server_ts2", "server_ts1", "a"]), values)))
    def test_any_pairs_are_read_as_they_are_or_refused(self, items: list[tuple[str, str]]) -> None:
        payload = " ".join(f"{key}={value}" for key, value in items).encode()
        try:
            heartbeat = parse_heartbeat_untrusted(payload)
        except MalformedHeartbeat:
            return
        pairs = dict(items)
        self.assertEqual(len(pairs), len(items))
        self.assertEqual((heartbeat.client_ts3, heartbeat.echo), (int(pairs["client_ts3"]), int(pairs["echo"])))
        self.assertEqual(heartbeat.server_ts2, int(pairs["server_ts2"]) if "server_ts2" in pairs else None)
