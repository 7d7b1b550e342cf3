"""The real programs over loopback: put, get and ls, and both ends killed in mid-transfer."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

SOURCE = str(Path(__file__).resolve().parents[2])
SERVER = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
CLIENT = "import sys; sys.argv[0] = 'bittrrt'; from bittrrt.app.program import main; main()"
PATIENCE = 60  # seconds


class TransferProgramTests(SynchronousTestCase):
    """One server and one client that has joined it."""

    def setUp(self) -> None:
        self.base = Path(self.enterContext(TemporaryDirectory()))
        self.there, self.here = self.base / "there", self.base / "here"
        self.there.mkdir(parents=True)
        self.here.mkdir()
        self.environment = {**os.environ, "PYTHONPATH": SOURCE, "BITTRRT_HOME": str(self.base / "client")}
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.log = self.base / "server.log"
        self.start_server()
        link = re.search(r"bittrrt://\S+", self.log.read_text())
        assert link is not None
        self.run_client("join", link[0])

    def tearDown(self) -> None:
        self.server.terminate()
        self.server.wait(PATIENCE)

    def start_server(self) -> None:
        options = ["--home", str(self.base / "server"), "--port", str(self.port), "--interface", "127.0.0.1"]
        options += ["--advertise", self.host, "--port-ranges", "20000-29999"]
        options += ["--root", str(self.there), "--heartbeat", "500"]
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(
                [sys.executable, "-c", SERVER, "-n", "--pidfile=", "bittrrt", *options],
                stdout=log, stderr=log, env=self.environment, cwd=self.base,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        self.fail(self.log.read_text())

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", CLIENT, *arguments]

    def run_client(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, env=self.environment, cwd=self.base,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def wait_for_partial(self, folder: Path) -> None:
        """Until a checkpoint has been written of a partial file."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if any(folder.glob(".bittrrt-*.journal")):
                return
            time.sleep(0.02)
        self.fail("nothing arrived")

    def test_a_tree_goes_there_and_back(self) -> None:
        tree = self.here / "tree"
        (tree / "empty").mkdir(parents=True)
        for number in range(300):
            (tree / f"f{number}").write_bytes(b"%d" % number * number)
        (tree / "big").write_bytes(Random(1).randbytes(5_000_000))
        os.utime(tree / "big", ns=(1, 1_500_000_000_000_000_007))
        done = self.run_client("put", "-r", "here/tree", f"{self.host}:", "--json")
        summary = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual((summary["files"], summary["failed"]), (301, 0))
        listed = self.run_client("ls", "-l", f"{self.host}:tree").stdout
        self.assertEqual(len(listed.splitlines()), 302)
        self.assertIn(" empty/", listed)
        self.run_client("get", "-r", f"{self.host}:tree", "here/back")
        self.assertEqual(subprocess.run(["diff", "-r", str(tree), str(self.here / "back")], check=False).returncode, 0)
        self.assertEqual((self.here / "back" / "big").stat().st_mtime_ns, 1_500_000_000_000_000_007)
        again = self.run_client("put", "-r", "here/tree", f"{self.host}:", "--json")
        self.assertEqual(json.loads(again.stdout.splitlines()[-1])["skipped"], 301)

    def test_what_a_person_can_get_wrong_is_one_line_each(self) -> None:
        (self.here / "a").write_bytes(b"a")
        for arguments, line in (
            (["put", "here/nope", f"{self.host}:"], "Error: here/nope: no such file or folder"),
            (["put", "here", f"{self.host}:"], "Error: here: a folder; say -r to send it with all that is in it"),
            (["get", f"{self.host}:nope"], "Error: nope: no such file or folder"),
            (["get", f"{self.host}:../x"], "Error: '../x': '.' and '..' are not names; rename it"),
            (["ls", f"{self.host}:nope"], "Error: nope: no such file or folder"),
            (["put", "here/a", f"{self.host}:" + "n" * 256], f"Error: '{'n' * 120}'...: a part of the name is longer"),
            (["put", "here/a", f"{self.host}:b\udcff"], "Error: 'b\\udcff': its name is not UTF-8; rename it"),
            (["get", f"{self.host}:b\udcff"], "Error: 'b\\udcff': its name is not UTF-8; rename it"),
            (["ls", f"{self.host}:b\udcff"], "Error: 'b\\udcff': its name is not UTF-8; rename it"),
        ):
            self.assertIn(line, self.run_client(*arguments, status=1).stderr.splitlines()[0])

    def test_links_in_a_folder_are_left_out_with_one_line_each_and_nothing_has_failed(self) -> None:
        for base in (self.here, self.there):
            (base / base.name).mkdir()
            (base / base.name / "a").write_bytes(b"a")
            (base / base.name / "link").symlink_to("a")
            (base / base.name / "out").symlink_to("/etc/passwd")
        for arguments, folder in (
            (["put", "-r", "here/here", f"{self.host}:"], "here/here"),
            (["get", "-r", f"{self.host}:there", "here"], "there"),
        ):
            done = self.run_client(*arguments)
            *lines, summary = done.stderr.splitlines()
            said = [f"{folder}/{name}: left out, a symbolic link is not followed" for name in ("link", "out")]
            self.assertEqual((lines, done.stdout), (said, ""))
            self.assertRegex(summary, "^1 file, .*, 2 left out$")
            self.assertEqual(self.run_client(*arguments, "--quiet").stderr, "")
            events = [json.loads(line) for line in self.run_client(*arguments, "--json").stdout.splitlines()]
            self.assertEqual([event["event"] for event in events if "text" in event], ["left-out"] * 2)
            self.assertEqual((events[-1]["left_out"], events[-1]["failed"]), (2, 0))
        (self.here / "here" / "caf\udce9").write_bytes(b"")
        self.run_client("put", "-r", "here/here", f"{self.host}:", status=1)

    def test_a_file_where_a_folder_has_to_be_is_one_line(self) -> None:
        for base, other in ((self.here, self.there), (self.there, self.here)):
            (base / f"in{base.name}" / "deep").mkdir(parents=True)
            for number in range(5):
                (base / f"in{base.name}" / "deep" / f"{number}").write_bytes(b"a")
            (other / f"in{base.name}").write_bytes(b"in the way")
        for arguments in (["put", "-r", "here/inhere", f"{self.host}:"], ["get", "-r", f"{self.host}:inthere", "here"]):
            errors = self.run_client(*arguments, status=1).stderr.splitlines()[:-1]
            self.assertEqual(len(errors), 1, errors)
        for target in ("here/inthere/x", "here/inthere/x/y", "here/inthere/"):
            done = self.run_client("get", f"{self.host}:inthere/deep/1", target, status=1)
            line = "Error: here/inthere: a file, where a folder has to be; choose another name\n"
            self.assertEqual(done.stderr, line)

    def test_output_that_cannot_be_written_ends_a_transfer_with_one_line(self) -> None:
        (self.here / "a").write_bytes(bytes(1000))
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                self.command("put", "here/a", f"{self.host}:", "--json"), stdout=full, stderr=subprocess.PIPE,
                text=True, env=self.environment, cwd=self.base, timeout=PATIENCE, check=False,
            )  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "Error: cannot write the output: No space left on device\n")

    def test_so_does_standard_error_and_silently_as_there_is_nobody_to_tell(self) -> None:
        (self.here / "big").write_bytes(bytes(3_000_000))
        outside, inside = os.pipe()
        os.close(outside)  # as of `2> >(head -0)`
        full = os.open("/dev/full", os.O_WRONLY)
        for arguments in (["put", "here/nope", "here/big"], ["put", "--limit", "4M", "here/big"]):
            for broken in (inside, full):
                done = subprocess.run(
                    self.command(*arguments, f"{self.host}:"), stdout=subprocess.PIPE, stderr=broken,
                    env=self.environment, cwd=self.base, timeout=PATIENCE, check=False,
                )  # fmt: skip
                self.assertEqual((done.returncode, done.stdout), (1, b""), arguments)
        os.close(inside)
        os.close(full)

    def test_ctrl_c_at_any_moment_is_at_most_one_line(self) -> None:
        (self.here / "big").write_bytes(bytes(2_000_000))
        random = Random(4)
        begun = self.command("put", "--limit", "20M", "here/big", f"{self.host}:")
        # before it prints, Ctrl-C meets no program yet
        begun[2] = f"import bittrrt.app.program; print(flush=True); {begun[2]}"
        for moment in (0.0, 0.05, 0.2, 0.4, 0.6, 0.9, 1.1, 1.3):
            client = subprocess.Popen(
                begun, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment, cwd=self.base
            )
            assert client.stdout is not None
            client.stdout.readline()
            time.sleep(moment + random.random() / 20)
            client.send_signal(signal.SIGINT)
            lines = [line for line in client.communicate(timeout=PATIENCE)[0].decode().splitlines() if line]
            said = [line for line in lines if not re.fullmatch(r"big: resuming at .*|1 file, .*", line)]
            self.assertLessEqual(len(said), 1, lines)
            self.assertNotIn("Traceback", "".join(lines))
            self.assertIn(client.returncode, (-signal.SIGINT, 130, 0), lines)

    def test_either_end_killed_in_mid_transfer_costs_at_most_the_last_second(self) -> None:
        data = Random(2).randbytes(40_000_000)
        (self.here / "big").write_bytes(data)
        random = Random(3)
        for victim in ("client", "server"):
            command = self.command("put", "--limit", "100M", "here/big", f"{self.host}:", "--json")
            client = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment, cwd=self.base
            )
            self.wait_for_partial(self.there)
            time.sleep(random.random() / 2)
            if victim == "client":
                client.send_signal(signal.SIGKILL)
                client.communicate(timeout=PATIENCE)
                output = self.run_client("put", "here/big", f"{self.host}:", "--json").stdout
            else:
                self.server.kill()
                self.server.wait(PATIENCE)
                self.start_server()
                output = client.communicate(timeout=PATIENCE)[0].decode()
            events = [json.loads(line) for line in output.splitlines()]
            resumed = [event for event in events if event["event"] == "resumed"]
            self.assertGreater(resumed[-1]["already"], 1_000_000)
            summary = events[-1]
            self.assertEqual(summary["resumed_bytes"], resumed[-1]["already"])
            if victim == "client":
                self.assertEqual(summary["sent_bytes"], len(data) - resumed[-1]["already"])
            else:
                self.assertGreaterEqual(summary["sent_bytes"], len(data))
            self.assertEqual((self.there / "big").read_bytes(), data)
            self.assertEqual(os.listdir(self.there), ["big"])
            (self.there / "big").unlink()


def free_port() -> int:
    """A TCP port that nobody holds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
