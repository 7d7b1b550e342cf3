"""sd_notify(3), against real sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.systemd import notify


class NotifyTests(SynchronousTestCase):
    def listen(self, address: str) -> socket.socket:
        manager = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(address)
        manager.settimeout(5.0)
        return manager

    def test_it_tells_a_socket_in_the_file_system(self) -> None:
        path = str(Path(self.enterContext(TemporaryDirectory())) / "notify")
        manager = self.listen(path)
        self.assertTrue(notify("READY=1", {"NOTIFY_SOCKET": path}))
        self.assertEqual(manager.recv(64), b"READY=1")

    def test_it_tells_a_socket_in_the_abstract_namespace(self) -> None:
        name = f"bittrrt-test-{os.getpid()}"
        manager = self.listen(f"\0{name}")
        self.assertTrue(notify("STOPPING=1", {"NOTIFY_SOCKET": f"@{name}"}))
        self.assertEqual(manager.recv(64), b"STOPPING=1")

    def test_it_is_silent_where_nobody_asked_or_nobody_listens(self) -> None:
        for environment in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": "/nowhere/x"}):
            self.assertFalse(notify("READY=1", environment))
