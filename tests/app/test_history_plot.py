"""Plots of history, by what is in the SVG, and PNG by its header; and the ways in which none can be drawn."""

from __future__ import annotations

import os
import re
import struct
import sys
import time
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

from bittrrt.files.history import Peer
from tests.files.history_rows import FAR, LAB, NOW, minutes, silent_minute

from .test_history_command import HistoryCommandTestCase

SVG = "{http://www.w3.org/2000/svg}"


class PlotTestCase(HistoryCommandTestCase):
    def draw(self, *args: str, name: str = "plot.svg") -> bytes:
        """The picture."""
        path = self.directory / name
        self.assertRegex(self.shown(*args, "--plot", str(path)), rf"^{re.escape(str(path))}: .*, \d+ bytes\n$")
        return path.read_bytes()

    def parts(self, picture: bytes) -> dict[str, ElementTree.Element]:
        """The parts of an SVG that have names of ours."""
        found = {element.get("id", ""): element for element in ElementTree.fromstring(picture).iter(f"{SVG}g")}
        return {name: part for name, part in found.items() if re.match("(smoke|median|loss)-", name)}

    def texts(self, picture: bytes) -> list[str]:
        return ["".join(element.itertext()) for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


class SvgTests(PlotTestCase):
    def test_every_port_has_its_smoke_its_median_and_its_loss(self) -> None:
        self.write(*minutes(60))
        parts = self.parts(self.draw())
        expected = {f"{what}-{port}{rest}" for port in ("ctrl", "up", "dn") for what, rest in (
            ("smoke", "-5-95-0"), ("smoke", "-25-75-0"), ("median", "-0"), ("loss", "-0"))}  # fmt: skip
        self.assertEqual(set(parts), expected)

    def test_nothing_is_drawn_across_a_gap(self) -> None:
        self.write(*minutes(10), *minutes(10, NOW + 1200))
        self.assertEqual(
            {name for name in self.parts(self.draw()) if "median-up" in name}, {"median-up-0", "median-up-20"}
        )

    def test_what_was_lost_has_its_colour_where_it_was_lost(self) -> None:
        rows = [
            *minutes(10),
            *minutes(1, NOW + 600, answered=9, lost=3),
            silent_minute(NOW + 660),
            *minutes(9, NOW + 720),
        ]
        self.write(*rows)
        parts = self.parts(self.draw())
        self.assertEqual(
            sorted(name for name in parts if name.startswith("loss-up")), ["loss-up-0", "loss-up-4", "loss-up-6"]
        )
        self.assertEqual(sorted(name for name in parts if name.startswith("loss-dn")), ["loss-dn-0", "loss-dn-4"])
        self.assertIn("fill: #2d0a02", ElementTree.tostring(parts["loss-up-6"], "unicode"))
        self.assertEqual(len(list(parts["loss-up-0"].iter(f"{SVG}path"))), 2)  # before it and after it

    def test_its_texts_are_texts_and_time_is_local(self) -> None:
        self.write(*minutes(60))
        with mock.patch.dict(os.environ, {"TZ": "Asia/Kolkata"}):
            time.tzset()
            texts = self.texts(self.draw())
        self.assertIn("lab   2023-11-15 03:44 to 04:44 IST", texts)
        self.assertIn("median 21.01 ms   p95 24.88 ms   max 31.50 ms   lost 0.0%", texts)
        self.assertIn("04:00", texts)
        for text in ("ctrl, ms", "up, ms", "dn, ms", "median round trip", "25-75 % of them", "lost 0", "all"):
            self.assertIn(text, texts)

    def test_a_name_is_text_whatever_signs_are_in_it(self) -> None:
        hostile = Peer("client", "$\\frac<script>$&#x;{}", LAB.fingerprint)
        self.write(*minutes(5, peer=hostile))
        self.assertTrue(any(text.startswith(f"{hostile.name}   ") for text in self.texts(self.draw())))

    def test_a_month_is_as_small_as_an_hour(self) -> None:
        self.enterContext(mock.patch("bittrrt.app.history.time.time", return_value=NOW + 20 * 86400))
        with mock.patch("bittrrt.app.history_plot.MOST_SLOTS", 10):
            self.write(*minutes(600))
            parts = self.parts(self.draw("--since", "30d"))
        self.assertEqual(len(parts), 12)
        (path,) = parts["median-up-0"].iter(f"{SVG}path")
        self.assertLessEqual(len(re.findall("[ML]", path.get("d", ""))), 20)

    def test_the_same_history_is_the_same_picture(self) -> None:
        self.write(*minutes(10))
        self.assertEqual(self.draw(name="one.svg"), self.draw(name="other.svg"))


class PngTests(PlotTestCase):
    def test_a_png_is_of_the_size_of_a_page(self) -> None:
        self.write(*minutes(10))
        picture = self.draw(name="PLOT.PNG")
        self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", picture[16:24]), (1200, 936))


class RefusedTests(PlotTestCase):
    def refused(self, plot: str, *args: str) -> str:
        return self.line("--plot", plot, *args)

    def test_another_format_is_refused_before_anything_is_read(self) -> None:
        self.assertEqual(self.refused("x.pdf"), "Error: --plot x.pdf: its name has to end in .png or .svg\n")
        self.assertEqual(self.refused("png"), "Error: --plot png: its name has to end in .png or .svg\n")

    def test_without_matplotlib_it_says_what_to_install(self) -> None:
        sys.modules.pop("bittrrt.app.history_plot", None)
        with mock.patch.dict(sys.modules, {"matplotlib": None}):
            self.assertIn("run pip install 'bittrrt[plot]'", self.refused("x.svg"))

    def test_a_file_that_cannot_be_written_is_one_line(self) -> None:
        self.write(*minutes(5))
        folder = self.directory / "folder.svg"
        folder.mkdir()
        self.assertEqual(self.refused(str(folder)), f"Error: cannot write {folder}: Is a directory\n")
        missing = Path(self.directory / "none" / "x.png")
        self.assertEqual(self.refused(str(missing)), f"Error: cannot write {missing}: No such file or directory\n")

    def test_a_plot_is_of_one_peer(self) -> None:
        other = Peer("client", "lab", "SHA256:" + "C" * 43)
        self.write(*minutes(1), *minutes(1, peer=FAR), *minutes(1, peer=other))
        path = str(self.directory / "x.svg")
        self.assertEqual(
            self.refused(path),
            "Error: a plot is of one peer: say which, as one of far.example:6711,"
            f" {LAB.fingerprint}, {other.fingerprint}\n",
        )
        self.draw(other.fingerprint)

    def test_a_time_without_history_is_one_line(self) -> None:
        self.write(*minutes(1))
        self.assertIn("nothing was recorded in that time", self.refused("x.svg", "--since", "1m"))

    def test_json_is_no_picture(self) -> None:
        self.assertEqual(self.refused("x.svg", "--json"), "Error: --plot and --json exclude each other\n")
