"""One file from here to a server, by `bittrrt put` and by its peers, in one run.

    python bench/throughput.py [--megabytes 256] [--mtu 1452] [--peers scp,srt]
    python bench/throughput.py --from "ip netns exec left" --to "ip netns exec right" --host 10.77.0.2 --megabytes 32

Whole programs, from start to end: Python's start, the rendezvous, the digest and the disk included. `--from` and `--to`
go before the commands of the sending and the receiving end, where these are test hosts of their own. See peers.md.

Of `bittrrt put` it prints too what CPU either end takes, disk and digest included, beyond a file of one byte (for each
datagram where --mtu tells how many there are), and its peak memory beyond that of an idle server, or of a client with
such a file.
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import getpass
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rig import free_tcp_port

CHECKOUT = Path(__file__).parent.parent
START_LIMIT = 10.0  # seconds for a server to listen
PEERS = "scp,srt"


TICK = os.sysconf("SC_CLK_TCK")
OVERHEAD = 48  # bytes of a datagram that are no payload


@dataclass(frozen=True)
class Use:
    """What one end has used."""

    cpu: float
    """Seconds."""
    memory: float
    """MB, the most so far."""


def use_of(pid: int) -> Use:
    """Of a process that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    peak = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return Use((int(fields[11]) + int(fields[12])) / TICK, int(peak.split()[1]) / 1024)


class Bench:
    """Where the ends are, and the file that goes from one to the other."""

    def __init__(self, arguments: argparse.Namespace, directory: Path) -> None:
        self.sender: list[str] = shlex.split(arguments.sender)
        self.receiver: list[str] = shlex.split(arguments.receiver)
        self.host: str = arguments.host
        self.options = ["--mtu", str(arguments.mtu)] if arguments.mtu else []
        self.datagrams = arguments.megabytes * 1e6 / (arguments.mtu - OVERHEAD) if arguments.mtu else None
        self.last_use = Use(0.0, 0.0)
        """Of the last command of the sending end."""
        self.directory = directory
        self.arrivals = directory / "arrivals"
        self.file = directory / "file"
        with self.file.open("wb") as out:
            for _ in range(arguments.megabytes):
                out.write(os.urandom(1_000_000))
        os.sync()  # or writing it to the disk would go on beside the first runs

    @contextlib.contextmanager
    def serving(self, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A server at the receiving end, for as long as this lasts."""
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                self.receiver + command, stdout=log, stderr=log, cwd=self.directory, env=environment()
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(START_LIMIT)

    def timed(self, command: list[str]) -> float:
        """Seconds that a command of the sending end takes. Ends the bench if it fails, or the file is not the same."""
        self.arrivals.mkdir()
        with tempfile.TemporaryFile() as said:
            began = time.monotonic()
            process = subprocess.Popen(
                self.sender + command, stdout=said, stderr=said, cwd=self.directory, env=environment()
            )
            _, status, used = os.wait4(process.pid, 0)
            took = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            output = said.read().decode(errors="replace")
        self.last_use = Use(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
        arrived = self.arrivals / "file"
        self.until(lambda: arrived.exists() and arrived.stat().st_size == self.file.stat().st_size)  # SRT writes on
        if process.returncode or not filecmp.cmp(self.file, arrived, shallow=False):
            raise SystemExit(f"{shlex.join(command)}: exit {process.returncode}\n{output}")
        shutil.rmtree(self.arrivals)
        return took

    def until(self, ready: Callable[[], bool]) -> None:
        """Wait for a server."""
        ends = time.monotonic() + START_LIMIT
        while not ready():
            if time.monotonic() > ends:
                raise SystemExit(f"waited in vain:\n{(self.directory / 'log').read_text()}")
            time.sleep(0.05)


def add_ends(parser: argparse.ArgumentParser) -> None:
    """Where the ends are, on the command line."""
    parser.add_argument("--from", dest="sender", default="", help="goes before the commands of the sending end")
    parser.add_argument("--to", dest="receiver", default="", help="goes before those of the receiving end")
    parser.add_argument("--host", default="127.0.0.1", help="the receiving end, for the sending one")


def environment() -> dict[str, str]:
    """Ours, with this checkout before what is installed."""
    return os.environ | {"PYTHONPATH": str(CHECKOUT)}


def bittrrt(*words: str) -> list[str]:
    """The command line, of this checkout."""
    return [sys.executable, "-c", "from bittrrt.app.program import main; main()", *words]


@dataclass(frozen=True)
class Joined:
    """A server that runs, and a client that it has let in."""

    home: list[str]
    """The client's `--home`."""
    address: str
    """The server, HOST:PORT."""
    file: Path
    pid: int
    """Of the server."""

    def command(self, name: str, *words: str) -> list[str]:
        """One of the client's commands."""
        return bittrrt(*self.home, name, *words)

    def put(self, target: str, *options: str) -> list[str]:
        """That puts the file there."""
        return self.command("put", *options, str(self.file), f"{self.address}:{target}")


@contextlib.contextmanager
def joined_server(bench: Bench) -> Iterator[Joined]:
    """A server at the receiving end that has let a client of the sending end in."""
    home, port = bench.directory / "server", free_tcp_port()
    twistd = [sys.executable, "-m", "twisted", "bittrrt", "--home", str(home), "--port", str(port)]
    client = ["--home", str(bench.directory / "client")]
    with bench.serving([*twistd, "--root", str(bench.directory)]) as server:
        bench.until((home / "server.json").exists)
        invite = bittrrt("--home", str(home), "invite", "--host", f"{bench.host}:{port}")
        link = subprocess.run(invite, capture_output=True, text=True, env=environment(), check=True).stdout.strip()
        join = bench.sender + bittrrt(*client, "join", link)
        bench.until(lambda: not subprocess.run(join, capture_output=True, env=environment(), check=False).returncode)
        yield Joined(client, f"{bench.host}:{port}", bench.file, server.pid)


def measure_bittrrt(bench: Bench, runs: int) -> list[float]:
    """`bittrrt put`."""
    with joined_server(bench) as joined:
        command, server = joined.put("arrivals", "--quiet", *bench.options), joined.pid
        whole, idle = bench.file.rename(bench.directory / "whole"), use_of(server)
        bench.file.write_bytes(b"1")
        bench.timed(command)
        start, before = bench.last_use, use_of(server)
        whole.rename(bench.file)
        took = [bench.timed(command) for _ in range(runs)]
        after = use_of(server)
        print_use(bench, "sender", bench.last_use.cpu - start.cpu, bench.last_use.memory - start.memory)
        print_use(bench, "receiver", (after.cpu - before.cpu) / runs, after.memory - idle.memory)
        return took


def print_use(bench: Bench, end: str, cpu: float, memory: float) -> None:
    """A line about one end of a transfer."""
    each = "" if bench.datagrams is None else f", {cpu / bench.datagrams * 1e6:.2f} us a datagram"
    print(f"{end:8s} {cpu:7.2f} s of CPU{each}; {memory:.0f} MB of memory at most")


def measure_scp(bench: Bench, runs: int) -> list[float]:
    """OpenSSH's scp, by a daemon of our own."""
    for key in ("host_key", "user_key"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(bench.directory / key)]
        subprocess.run(make, check=True)
    port = free_tcp_port()
    config = bench.directory / "sshd.conf"
    config.write_text(
        f"Port {port}\nHostKey {bench.directory}/host_key\nAuthorizedKeysFile {bench.directory}/user_key.pub\n"
        "PermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile none\nSubsystem sftp internal-sftp\n"
    )
    os.makedirs("/run/sshd", exist_ok=True)
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    target = f"{getpass.getuser()}@{bench.host}:{bench.arrivals}/file"
    with bench.serving([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", str(config)]):
        time.sleep(1)
        scp = ["scp", "-q", *options, "-i", str(bench.directory / "user_key"), "-P", str(port)]
        return [bench.timed([*scp, str(bench.file), target]) for _ in range(runs)]


def measure_srt(bench: Bench, runs: int) -> list[float]:
    """srt-file-transmit, with AES-128."""
    port, secret = free_tcp_port(), "transtype=file&passphrase=0123456789abcd&pbkeylen=16"
    took = []
    for _ in range(runs):  # its receiver takes one file and ends
        listen = ["srt-file-transmit", f"srt://:{port}?mode=listener&{secret}", f"file://{bench.arrivals}/"]
        with bench.serving(listen):
            time.sleep(1)
            send = ["srt-file-transmit", f"file://{bench.file}", f"srt://{bench.host}:{port}?{secret}"]
            took.append(bench.timed(send))
    return took


MEASURES = {"bittrrt": measure_bittrrt, "scp": measure_scp, "srt": measure_srt}
PROGRAMS = {"scp": "scp", "srt": "srt-file-transmit"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--mtu", type=int, help="bytes of a datagram; without it the path's are found out")
    parser.add_argument("--peers", default=PEERS)
    parser.add_argument("--runs", type=int, default=3)
    add_ends(parser)
    arguments = parser.parse_args()
    peers = [name for name in arguments.peers.split(",") if name]
    ours = 0.0
    for name in ["bittrrt", *peers]:
        if name in PROGRAMS and shutil.which(PROGRAMS[name]) is None:
            print(f"{name:8s} is not installed here")
            continue
        with tempfile.TemporaryDirectory() as directory:
            took = MEASURES[name](Bench(arguments, Path(directory)), arguments.runs)
        median = statistics.median(took)
        ours = ours or median
        rate = arguments.megabytes / median
        beside = "" if name == "bittrrt" else f"   bittrrt is {median / ours:.2f} x as fast"
        print(f"{name:8s} {median:7.2f} s {rate * 8:8.1f} Mbit/s {rate:7.1f} MB/s{beside}", flush=True)


if __name__ == "__main__":
    main()
