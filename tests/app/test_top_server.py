"""The picture of a server: what it shows, that it fits, and that nothing in it is more than text."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.top_server import ServerPicture
from bittrrt.app.views import SessionView

from .fake_page import NOW_MS, event, port_view, server_state, session_view, transfer_view


def ports(**changes: Any) -> list[Any]:
    """Three ports; `changes` of all."""
    return [port_view(name, **changes) for name in ("ctrl", "up", "dn")]


class ServerPictureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.picture = ServerPicture()

    def see(self, *sessions: SessionView, events: int = 0, now_ms: int = NOW_MS) -> list[str]:
        state = server_state(*sessions, events=[event(number, f"event {number}") for number in range(events)])
        self.picture.update(state, now_ms)
        return self.lines()

    def lines(self, width: int = 80, height: int = 24) -> list[str]:
        lines = self.picture.lines(width, height)
        self.assertLessEqual(len(lines), height)
        for line in lines:
            self.assertLessEqual(line.cell_len, width, line.plain)
        return [line.plain for line in lines]

    def rows(self, lines: list[str]) -> list[str]:
        """The names of the sessions that are shown, the chosen one with its mark."""
        at = next(i for i, line in enumerate(lines) if line.startswith("  name"))
        return [line[:14].strip() for line in lines[at + 1 : lines.index("", at)]]

    def test_a_session_is_a_row_and_the_chosen_one_has_its_ports(self) -> None:
        lines = self.see(session_view())
        self.assertEqual(lines[0], "SHA256:AAAAAA...  up 1:02:05  1 session  ports 285 free, 3 used, 0 resting")
        row = lines[3].split()
        self.assertEqual(row[:11], [">", "anna", "192.0.2.9", "2:05", "20.3", "20.3", "20.3", "0.1", "0.0%", "▁"])
        self.assertRegex(lines[5], r"^anna  SHA256:A{43}  link 00000000")
        self.assertRegex(lines[6], r"^  ctrl  6712 alive   least 20.0   now 20.1   jitter 0.1   loss 0.0%   ▁$")

    def test_every_heartbeat_is_one_point_and_a_lost_one_is_marked(self) -> None:
        for answered, lost, last in ((1, 0, 20.0), (1, 0, 20.0), (2, 0, 40.0), (2, 1, 40.0), (3, 1, 20.0)):
            lines = self.see(session_view(ports=ports(answered=answered, lost=lost, last_ms=last)))
        self.assertTrue(lines[3].endswith(" ▁█x▁"), lines[3])

    def test_a_silent_port_and_one_that_was_never_heard_are_told(self) -> None:
        silent = [port_view("ctrl"), port_view("up", state="silent"), *ports(state="waiting", last_ms=None)[2:]]
        silent[2] = port_view("dn", state="waiting", last_ms=None, smoothed_ms=None, minimum_ms=None, address="")
        lines = self.see(session_view(ports=silent))
        self.assertEqual(lines[3].split()[4:7], ["20.3", "silent", "-"])
        self.assertIn("waiting", lines[8])

    def test_sessions_in_trouble_come_first_and_s_sorts_otherwise(self) -> None:
        sessions = [
            session_view(1, "bert"),
            session_view(2, "anna", opened_ms=NOW_MS),
            session_view(3, "lossy", ports=ports(loss=0.2)),
            session_view(4, "silent", ports=ports(state="silent")),
            session_view(5, "zoe", ports=ports(smoothed_ms=99.0), opened_ms=NOW_MS - 9_000_000),
        ]
        orders = []
        self.see(*sessions)
        for _ in range(4):
            orders.append([row.lstrip("> ") for row in self.rows(self.lines())])
            self.assertTrue(self.picture.press("s", 24))
        self.assertEqual(orders[0], ["silent", "lossy", "anna", "bert", "zoe"])
        self.assertEqual(orders[1], ["anna", "bert", "lossy", "silent", "zoe"])
        self.assertEqual((orders[2][0], orders[2][-1]), ("zoe", "anna"))
        self.assertEqual(orders[3][0], "zoe")
        self.assertIn("sorts: by trouble", self.lines()[1])

    def test_the_chosen_one_is_kept_in_sight_among_a_thousand(self) -> None:
        self.see(*[session_view(number, f"c{number:04}") for number in range(1000)], events=9)
        moves = {"down": "c0001", "page down": "c0013", "up": "c0012", "page up": "c0000", "k": "c0000", "j": "c0001"}
        for key, name in moves.items():
            self.assertTrue(self.picture.press(key, 24))
            lines = self.lines()
            self.assertIn(f"> {name}", self.rows(lines))
            self.assertTrue(any(line.startswith(f"{name}  SHA256:") for line in lines))
        for _ in range(100):
            self.picture.press("page down", 24)
        self.assertEqual(self.rows(self.lines())[-1], "> c0999")

    def test_when_the_chosen_one_is_over_another_is(self) -> None:
        self.see(session_view(1, "anna"), session_view(2, "bert"))
        self.picture.press("down", 24)
        self.assertIn("> bert", self.rows(self.lines()))
        self.assertIn("> anna", self.rows(self.see(session_view(1, "anna"))))
        self.assertIn("no session is open", self.see())
        self.assertTrue(self.picture.press("down", 24))

    def test_nothing_is_remembered_of_sessions_that_are_over(self) -> None:
        for number in range(100):
            self.see(session_view(number))
        self.assertEqual((len(self.picture._recent), len(self.picture._counted)), (3, 3))

    def test_files_have_bars_and_events_follow_the_last_first(self) -> None:
        lines = self.see(session_view(transfers=[transfer_view(limited_by="path")]), events=30)
        (file,) = [line for line in lines if line.startswith("put")]
        self.assertRegex(file, r"^put  anna +video\.mkv +████████░░░░░░░░   50 %   100 Mbit/s  path$")
        events = [line for line in lines if " joined " in line]
        self.assertEqual(len(lines), 24)
        self.assertRegex(events[0], r"^\d\d:\d\d:\d\d  joined   event 29$")
        self.assertRegex(events[1], r"event 28$")

    def test_why_it_is_old_stands_in_its_place_and_goes_away(self) -> None:
        self.see(session_view())
        self.picture.trouble = "the server does not answer"
        self.assertEqual(self.lines()[1], "the server does not answer")
        self.assertIn("q ends", self.see(session_view())[1])

    def test_q_ends(self) -> None:
        self.assertFalse(self.picture.press("q", 24))

    def test_hostile_names_are_text(self) -> None:
        name = "[red]x[/red]\x1b[2J\n\u202e"
        lines = self.see(session_view(name=name, transfers=[transfer_view(name)]), events=0)
        state = server_state(session_view(name=name), events=[event(1, name)])
        self.picture.update(state, NOW_MS)
        for line in [*lines, *self.lines()]:
            self.assertTrue(line.isprintable(), repr(line))
        self.assertTrue(any("[red]x[/red]" in line for line in self.lines()))

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(0, 30), st.integers(0, 9), st.integers(0, 40), st.integers(1, 200), st.integers(1, 60),
        st.text(max_size=40), st.floats(0, 1e7),
    )  # fmt: skip
    def test_any_picture_fits_any_terminal(
        self, sessions: int, files: int, events: int, width: int, height: int, name: str, figure: float
    ) -> None:
        self.picture = ServerPicture()
        transfers = [transfer_view(name, rate=figure) for _ in range(files)]
        changed = ports(smoothed_ms=figure, jitter_ms=figure, last_ms=figure, minimum_ms=figure)
        self.picture.update(
            server_state(
                *[session_view(number, name, transfers=transfers, ports=changed) for number in range(sessions)],
                events=[event(number, name) for number in range(events)],
            ),
            NOW_MS,
        )
        self.lines(width, height)
