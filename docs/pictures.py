"""Makes the pictures in README.rst, from a real run: the page in light and dark, and `bittrrt ping`.

    PYTHONPATH=. python docs/pictures.py [--host ADDRESS] [--client COMMAND]

A server runs here and listens on ADDRESS, clients run by COMMAND, such as `ip netns exec left` for a host at the other
end of an emulated link; without these all is loopback. One of the clients gets a file, one has left. Needs chromium,
chromedriver and Pillow; what the pictures show is what was measured.
"""

from __future__ import annotations

import argparse
import io
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from rich.console import Console
from rich.text import Text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bittrrt.app.admin_file import ADMIN_FILE, known_page
from bittrrt.files.authorized_clients import AuthorizedClients
from bittrrt.files.home import Home
from bittrrt.files.identity import load_or_create_identity
from bittrrt.files.known_servers import KnownServers
from tests.app.browser import Browser
from tests.app.programs import free_ports

PICTURES = Path(__file__).parent / "pictures"
CLIENTS = {"harbour": 250, "lab-east": 500, "mast-7": 1000, "observatory": 500}  # names, and heartbeats in ms
READER, LEAVER = "workshop", "field-kit"
SECONDS = 75  # of measuring before a picture
FILE_SIZE = 400_000_000  # bytes: still on its way when the second picture is taken, at 50 Mbit/s
SIZE = (1280, 1060)
PALETTE = 128  # colours: a third of the size, and no difference to see
PING = ("--count", "60", "--interval", "200")
COLUMNS, LINES = 92, 12

CHOOSE = "[...document.querySelectorAll('#list .name')].find((each) => each.textContent === arguments[0]).click()"

_TWISTD = "from twisted.scripts.twistd import run; run()"
_BITTRRT = "from bittrrt.app.program import main; main()"
_FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)  # of a server elsewhere
_NEW_FRAME = "\x1b[1A\x1b[2K"  # the cursor goes up a line, and that line is empty


@dataclass
class Scene:
    """A server and its clients."""

    directory: Path
    host: str
    client: list[str]
    stack: ExitStack

    def __post_init__(self) -> None:
        self.port, self.page_port = free_ports(2)
        self.home = Home(self.directory / "server")
        self.fingerprint = load_or_create_identity(self.home)[0].fingerprint

    def start(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """A program that ends with the scene."""
        path = str(Path(__file__).resolve().parents[1])
        environment = os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
        program = subprocess.Popen(command, cwd=self.directory, env=environment, **options)
        self.stack.callback(program.wait)
        self.stack.callback(program.terminate)
        return program

    def serve(self) -> None:
        """Start the server, and wait for its page."""
        files = self.directory / "files"
        files.mkdir()
        self.start(
            sys.executable, "-c", _TWISTD, "-n", "--pidfile=", "bittrrt", f"--home={self.home.path}",
            f"--interface={self.host}", f"--port={self.port}", "--heartbeat=1000", f"--root={files}",
            f"--admin=tcp:{self.page_port}:interface=127.0.0.1",
        )  # fmt: skip
        while not (self.home.path / ADMIN_FILE).exists():
            time.sleep(0.1)

    def run_as(self, name: str, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """A command of a client that is let in by that name."""
        home = Home(self.directory / name)
        client = load_or_create_identity(home)[0]
        AuthorizedClients(self.home).authorize(client.fingerprint, name)
        KnownServers(home).pin(self.host, self.port, self.fingerprint)
        program = [*self.client, sys.executable, "-c", _BITTRRT, "--home", str(home.path)]
        return self.start(*program, *command, **options)

    @property
    def server(self) -> str:
        """What clients call the server."""
        return f"{self.host}:{self.port}"


def take_page(scene: Scene) -> None:
    """The page with several clients and a file on its way, in light and in dark."""
    for name, heartbeat in CLIENTS.items():
        scene.run_as(name, "ping", scene.server, "--interval", str(heartbeat))
    leaver = scene.run_as(LEAVER, "ping", scene.server)
    time.sleep(SECONDS / 2)
    leaver.send_signal(signal.SIGINT)
    file = scene.directory / "files" / "survey-2026.tar"
    file.write_bytes(os.urandom(FILE_SIZE))
    scene.run_as(READER, "get", f"{scene.server}:{file.name}", str(scene.directory))
    time.sleep(SECONDS / 2)
    page = Browser(*SIZE)
    scene.stack.callback(page.close)
    page.resize(*SIZE)
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        page.open(known_page(scene.home).link)
        page.wait_for_text("#list", READER)
        page.run(CHOOSE, READER)
        page.wait_for_text("#transfers", file.name)
        page.wait_for_text("#detail-says", "ports answer")
        time.sleep(3)  # a file's rate is known once it was looked at twice
        picture = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
        picture.quantize(PALETTE, dither=Image.Dither.NONE).save(PICTURES / f"page-{scheme}.png", optimize=True)


def take_ping(scene: Scene) -> None:
    """What `bittrrt ping` leaves on a terminal."""
    ours, its = pty.openpty()
    os.environ |= {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}
    ping = scene.run_as("laptop", "ping", scene.server, *PING, stdin=its, stdout=its, stderr=its)
    os.close(its)
    shown = b""
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:  # as a terminal ends, on Linux
        ping.wait()
    last = shown.decode().rpartition(_NEW_FRAME)[2].replace("\r", "")
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text(f"$ bittrrt ping {scene.host} --interval 200", style="dim"))
    console.print(Text.from_ansi(re.sub(r"\x1b\[\?\d+[hl]", "", last).rstrip()))
    svg = console.export_svg(title="bittrrt ping", unique_id="ping")
    (PICTURES / "ping.svg").write_text(_FONTS.sub("", svg), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the server's address")
    parser.add_argument("--client", default="", help="what a client's command begins with")
    arguments = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        scene = Scene(directory, arguments.host, shlex.split(arguments.client), stack)
        scene.serve()
        take_ping(scene)
        take_page(scene)


if __name__ == "__main__":
    main()
