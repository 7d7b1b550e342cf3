"""How local programs ask the server that runs here: over loopback, from a page that says what a test wants."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.server import Site

from bittrrt.app.admin_client import AdminClient
from bittrrt.app.admin_file import ADMIN_FILE, AdminAddress, admin_address
from bittrrt.errors import LinkError, NotBittrRt, SettingsError, Unreachable
from bittrrt.files.home import Home

from .fake_page import SECRET, FakePage, event, leave_address, server_state, session_view, transfer_view


class AddressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")

    def test_it_is_what_the_server_left_or_none(self) -> None:
        self.assertIsNone(admin_address(self.home))
        leave_address(self.home, 6780)
        self.assertEqual(admin_address(self.home), AdminAddress("http://127.0.0.1:6780/", SECRET))

    def test_its_secret_is_kept_out_of_repr(self) -> None:
        leave_address(self.home, 6780)
        self.assertNotIn(SECRET, repr(admin_address(self.home)))

    def test_a_file_that_others_can_read_or_that_is_none_is_refused(self) -> None:
        self.home.write(ADMIN_FILE, "{}")
        with self.assertRaisesRegex(SettingsError, "admin.json: .*; delete it, and start the server again"):
            admin_address(self.home)
        leave_address(self.home, 6780)
        (self.home.path / ADMIN_FILE).chmod(0o644)
        with self.assertRaisesRegex(SettingsError, "is not for its owner alone"):
            admin_address(self.home)


class AdminClientTests(TestCase):
    async def setUp(self) -> None:  # type: ignore[override]
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.state = server_state(session_view(name="[b]ö\x1b", transfers=[transfer_view()]), events=[event(1)])
        self.page = FakePage(msgspec.json.encode(self.state))
        here: Any = reactor
        self.port = here.listenTCP(0, Site(self.page), interface="127.0.0.1")
        self.client = AdminClient(self.home, reactor)

    async def tearDown(self) -> None:  # type: ignore[override]
        await self.client.close()
        await maybeDeferred(self.port.stopListening)

    async def error(self) -> LinkError:
        try:
            await self.client.state()
        except LinkError as error:
            self.assertNotIn("\n", str(error))
            return error
        raise self.failureException("it answered")

    async def test_the_state_is_read_as_it_was_sent_again_and_again(self) -> None:
        leave_address(self.home, self.port.getHost().port)
        for _ in range(3):
            self.assertEqual(await self.client.state(), self.state)
        self.assertEqual(self.page.asked, 3)

    async def test_without_a_server_it_says_how_to_start_one(self) -> None:
        error = await self.error()
        self.assertIsInstance(error, Unreachable)
        self.assertIn("start one with twistd bittrrt", str(error))

    async def test_a_server_that_was_killed_is_said_not_to_answer(self) -> None:
        leave_address(self.home, self.port.getHost().port)
        await self.port.stopListening()
        self.assertRegex(str(await self.error()), r"does not answer at http://127\.0\.0\.1:\d+/: start it with twistd")

    async def test_one_that_was_started_again_is_found(self) -> None:
        leave_address(self.home, 1)
        await self.error()
        leave_address(self.home, self.port.getHost().port)
        self.assertEqual(await self.client.state(), self.state)

    async def test_another_secret_is_said(self) -> None:
        leave_address(self.home, self.port.getHost().port, secret="another")
        self.assertIn("does not take the secret of admin.json", str(await self.error()))

    async def test_an_answer_that_is_none_is_said(self) -> None:
        leave_address(self.home, self.port.getHost().port)
        self.page.status = 503
        self.assertIn("HTTP status 503", str(await self.error()))
        self.page.status = 200
        for body in (b"", b"hello", b"[]", b'{"server": 1}', msgspec.json.encode(self.state)[:-9]):
            self.page.body = body
            error = await self.error()
            self.assertIsInstance(error, NotBittrRt)

    def test_what_a_newer_page_says_besides_is_not_minded(self) -> None:
        leave_address(self.home, self.port.getHost().port)
        self.page.body = b'{"new": [1], ' + msgspec.json.encode(self.state)[1:]
        asked = ensureDeferred(self.client.state())
        asked.addCallback(self.assertEqual, self.state)
        return asked  # type: ignore[return-value]
