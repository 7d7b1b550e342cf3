"""Names that a peer may send, and those that it may not."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial import unittest

from bittrrt.errors import NameRefused
from bittrrt.files.names import MAX_NAME, MAX_PARTS, is_hidden, parse_name_untrusted, shown_untrusted
from bittrrt.files.partial import partial_names

ACCEPTED = [
    "a",
    "photos/2024/été.jpg",
    "写真/ノート丿.txt",
    "a b/c  d",
    ".hidden/.config",
    "...a",
    "2024-01-01 10:00:00.log",
    "console.txt",
    "com10",
    "wait….txt",
    "half ½.txt",
    "\N{FAMILY}\u200d\N{GIRL}",
    "שלום.txt",
    "bittrrt-1.part",
    "é" * 127,
    "/".join("a" * MAX_PARTS),
]

REFUSED = {
    "empty": "",
    "root": "/",
    "absolute": "/etc/passwd",
    "up": "../x",
    "up in the middle": "a/../../x",
    "up at the end": "a/..",
    "here": "./a",
    "empty part": "a//b",
    "slash at the end": "a/",
    "NUL": "a\0b",
    "newline": "a\nb",
    "escape": "a\x1b[2J",
    "C1 control": "a\x9b2J",
    "delete": "a\x7f",
    "lone surrogate": "a\udc80",
    "line separator": "a\u2028b",
    "right-to-left override": "exe\u202egpj.a",
    "isolate": "a\u2066b",
    "backslash": "..\\x",
    "division slash": "a\u2215b",
    "fraction slash": "a\u2044b",
    "big solidus": "a\u29f8b",
    "fullwidth solidus": "a\uff0fb",
    "fullwidth reverse solidus": "a\uff3cb",
    "small reverse solidus": "a\ufe68b",
    "set minus": "a\u2216b",
    "box drawing diagonal": "a\u2571b",
    "account of": "\u2100",
    "two dot leader": "\u2025",
    "fullwidth dots": "\uff0e\uff0e",
    "one dot leaders": "\u2024\u2024",
    "part of 256 bytes": "a" * 256,
    "part of 256 bytes in 128 signs": "é" * 128,
    "path too long": "/".join(["a" * 200] * 21),
    "path too long in UTF-8": "/".join(["é" * 100] * 21),
    "too deep": "/".join("a" * (MAX_PARTS + 1)),
    "dot at the end": "a.",
    "space at the end": "a /b",
    "device": "CON",
    "device with an extension": "a/nul.tar.gz",
    "device with a space": "aux .txt",
    "device with a stream": "com1:x",
    "device with a superscript": "LPT\u00b9",
    "fullwidth device": "\uff23\uff2f\uff2e",
    "partial file": ".bittrrt-00.part",
    "partial file in capitals": "a/.BITTRRT-00.part",
    "partial file with an invisible sign": ".bitt\u200crrt-00.part",
    "partial file of compatible signs": ".\uff42ittrrt-00.part",
}


class NameTests(unittest.SynchronousTestCase):
    def test_names_that_people_use_pass_unchanged(self) -> None:
        for name in ACCEPTED:
            self.assertEqual("/".join(parse_name_untrusted(name)), name)

    def test_hostile_names_are_refused_in_one_line_that_can_be_shown(self) -> None:
        for kind, name in REFUSED.items():
            with self.assertRaises(NameRefused, msg=kind) as caught:
                parse_name_untrusted(name)
            text = str(caught.exception)
            self.assertTrue(text.isprintable(), kind)
            self.assertLess(len(text), 900, kind)

    def test_a_name_that_is_not_utf8_is_called_so(self) -> None:
        error = self.assertRaises(NameRefused, parse_name_untrusted, "a/b\udcff")
        self.assertEqual(str(error), r"'a/b\udcff': it is not UTF-8; rename it")

    def test_the_names_of_partial_files_are_refused_from_a_peer(self) -> None:
        for hidden in partial_names(b"\xff" * 255):
            self.assertLessEqual(len(hidden), 255)
            self.assertTrue(is_hidden(hidden.decode()))
            self.assertRaises(NameRefused, parse_name_untrusted, hidden.decode())

    def test_a_long_name_is_cut_when_it_is_shown(self) -> None:
        self.assertEqual(shown_untrusted("a\n" * 100, 3), "'a\\na'...")

    @given(st.text(st.characters(codec=None), max_size=300))
    @example("a/../b")
    @settings(max_examples=400, deadline=None)
    def test_what_passes_is_a_relative_name_of_plain_parts(self, name: str) -> None:
        try:
            parts = parse_name_untrusted(name)
        except NameRefused:
            return
        self.assertEqual("/".join(parts), name)
        self.assertLessEqual(len(name.encode()), MAX_NAME)
        for part in parts:
            folded = unicodedata.normalize("NFKC", part)
            self.assertNotIn(folded, ("", ".", ".."))
            self.assertTrue(set("\0/\\\n\r").isdisjoint(folded))
            self.assertLessEqual(len(part.encode()), 255)
            self.assertFalse(is_hidden(part))

    @given(st.lists(st.sampled_from(["a", "..", ".", "", "\\", "\u2215", "nul", "\0", "b", "é"]), max_size=6))
    @settings(max_examples=300, deadline=None)
    def test_one_bad_part_is_enough_to_refuse_a_name(self, parts: list[str]) -> None:
        name = "/".join(parts)
        if parts and all(part in ("a", "b", "é") for part in parts):
            self.assertEqual(parse_name_untrusted(name), tuple(parts))
        else:
            self.assertRaises(NameRefused, parse_name_untrusted, name)
