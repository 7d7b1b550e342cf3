"""What can be done from the page, and what is said where it cannot."""

from __future__ import annotations

from bittrrt.app.admin_actions import qr_code
from bittrrt.wire.invite import parse_invite_link

from .admin_http import AdminHttpTestCase


class ActionTests(AdminHttpTestCase):
    def line(self, path: str, body: object) -> str:
        answer = self.from_page(path, body)
        self.assertEqual(answer.status, 400)
        return str(answer.json()["error"])

    def test_a_session_is_ended(self) -> None:
        connection = self.open()
        self.network.run_for(1.5)
        self.assertEqual(self.from_page("/api/end", {"link": connection.link_id}).json(), {"ended": True})
        self.network.run_for(0.5)
        self.assertEqual(self.observer.events, ["ended"])
        self.assertEqual(self.watch.closed_sessions()[0].why, "the server's owner ended it")
        self.assertEqual(self.line("/api/end", {"link": connection.link_id}), "that session is over already")

    def test_a_client_is_revoked_and_its_sessions_end_at_once(self) -> None:
        self.open()
        self.network.run_for(1.5)
        fingerprint = self.client_identity.fingerprint
        self.assertEqual(self.from_page("/api/revoke", {"fingerprint": fingerprint}).json(), {"revoked": "anna"})
        self.assertEqual(self.server.sessions, {})
        self.assertIn("@revoked", self.server_home.read("authorized_clients"))
        self.assertEqual(self.watch.closed_sessions()[0].why, "its key was revoked")

    def test_an_invite_is_a_link_that_lets_one_in_and_its_picture(self) -> None:
        made = self.from_page("/api/invite", {"name": "lab", "host": "example.net:7000", "lifetime": 900}).json()
        invite = parse_invite_link(made["link"])
        self.assertEqual((invite.host, invite.port, invite.fingerprint), ("example.net", 7000, self.server.fingerprint))
        self.assertEqual(made["qr"], qr_code(made["link"]))
        self.assertFalse(made["guessed"])
        (line,) = self.server_home.read_lines("invites")
        self.assertRegex(line, r"expires=1700000900 name=lab$")

    def test_a_qr_code_is_a_picture_that_can_do_nothing_else(self) -> None:
        self.assertRegex(qr_code("bittrrt://x"), r"^data:image/svg\+xml[,;]")

    def test_what_cannot_be_done_is_told_in_a_line(self) -> None:
        for path, body, told in (
            ("/api/end", {}, "the request cannot be used: Object missing required field `link`"),
            ("/api/end", {"link": "x", "y": 1}, "the request cannot be used: Object contains unknown field `y`"),
            ("/api/end", b"\xff", "the request cannot be used: "),
            ("/api/revoke", {"fingerprint": "nobody"}, "nobody"),
            ("/api/invite", {"name": "a b"}, "'a b' is no name"),
            ("/api/invite", {"host": "a b"}, "'a b' is not HOST, HOST:PORT or [IPv6]:PORT"),
            ("/api/invite", {"lifetime": -1}, "a link cannot live -1 s"),
            ("/api/invite", {"name": "x" * 301}, "the request cannot be used: Expected `str` of length <= 300"),
        ):
            self.assertIn(told, self.line(path, body))
        self.assertEqual(self.server_home.read_lines("invites"), [])
