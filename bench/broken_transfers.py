"""What a person reads when a transfer breaks, and what is left of it: put and get, by the real programs over loopback.

    python bench/broken_transfers.py [--cases full,cut]

Every call transfers two files, `bad` and `next`. A line tells what the client said of `bad`, whether `next` arrived all
the same, and what is left of `bad` at the receiver. As root the programs run as another user, and disks of their own
are mounted for the cases that need one; these are left out for anybody else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ends import Ended, Ends, digest_of, partial_in, two_ends

from bittrrt.files.authorized_clients import FILE_NAME

SIZE = 12_000_000  # bytes of `bad`
LIMIT = "40M"  # bits a second: `bad` takes 2.4 s, and has a checkpoint behind it when it breaks
BREAKS_AFTER = 1.6  # seconds after its partial file appeared
DISK = SIZE * 2 // 3  # bytes of a disk that is too small
NOBODY = 65_534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
IS_ROOT = os.geteuid() == 0


@dataclass(frozen=True)
class Scene:
    """One call, by the folders that it goes between."""

    ends: Ends
    command: str
    sender: Path
    receiver: Path

    @property
    def bad(self) -> Path:
        return self.sender / "bad"

    def call(self, names: tuple[str, ...], during: Callable[[], None] | None) -> Ended:
        """Run the command; call `during` in the middle of it."""
        if self.command == "put":
            paths = [*(str(self.sender / name) for name in names), f"{self.ends.remote}:box/"]
        else:
            paths = [*(f"{self.ends.remote}:out/{name}" for name in names), str(self.receiver)]
        client = self.ends.start(self.command, "--json", "--limit", LIMIT, *paths)
        if during is not None:
            self.ends.until(lambda: partial_in(self.receiver) is not None or not client.running)
            time.sleep(BREAKS_AFTER)
            during()
        return client.end()


@dataclass(frozen=True)
class Case:
    """One way for a transfer to break."""

    name: str
    breaking: Callable[[Scene], contextlib.AbstractContextManager[Callable[[], None] | None]]
    """Prepares it; gives what is to be done in the middle, if anything."""
    says: str
    """What the line is to say, as a regular expression."""
    left: str = "nothing"
    """What is to be left: `nothing`, `kept` or `all`."""
    next_arrives: bool = True
    names: tuple[str, ...] = ("bad", "next")
    needs_root: bool = False
    commands: tuple[str, ...] = ("put", "get")


# --- how it breaks ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(folder: Path, *how: str) -> Iterator[None]:
    """A disk, for a while."""
    subprocess.run(["mount", *how, str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def tmpfs(size: int) -> tuple[str, ...]:
    """A small disk of the programs' user."""
    return ("-t", "tmpfs", "-o", f"size={size},uid={NOBODY}", "tmpfs")


@contextlib.contextmanager
def too_small_disk(scene: Scene) -> Iterator[None]:
    with mounted(scene.receiver, *tmpfs(DISK)):
        yield None


@contextlib.contextmanager
def disk_filled_up(scene: Scene) -> Iterator[Callable[[], None]]:
    """No room for the journal: the file's is reserved, and another program takes the rest."""

    def fill() -> None:
        with contextlib.suppress(OSError), (scene.receiver / "other").open("wb", buffering=0) as other:
            while other.write(bytes(4096)):
                pass

    with mounted(scene.receiver, *tmpfs(SIZE + 2**20)):
        yield fill


@contextlib.contextmanager
def failing_disk(scene: Scene) -> Iterator[None]:
    """A disk that loses its end: what is beyond cannot be read."""
    image = scene.ends.base / "image"
    with image.open("wb") as file:
        file.truncate(SIZE * 2)
    subprocess.run(["mkfs.ext2", "-q", str(image)], check=True)
    files = {path.name: path.read_bytes() for path in scene.sender.iterdir()}
    with mounted(scene.sender, "-o", "loop", str(image)):
        for name, data in sorted(files.items(), reverse=True):  # `next` before `bad`
            (scene.sender / name).write_bytes(data)
        os.sync()
        os.truncate(image, SIZE)
        Path("/proc/sys/vm/drop_caches").write_text("1")
        yield None


@contextlib.contextmanager
def changed(scene: Scene) -> Iterator[Callable[[], None]]:
    def change() -> None:
        with scene.bad.open("r+b") as file:
            file.write(b"changed")

    yield change


@contextlib.contextmanager
def cut(scene: Scene) -> Iterator[Callable[[], None]]:
    yield lambda: os.truncate(scene.bad, 1000)


@contextlib.contextmanager
def replaced(scene: Scene) -> Iterator[Callable[[], None]]:
    other = scene.sender / "other"
    other.write_bytes(b"another file")
    yield lambda: os.replace(other, scene.bad)


@contextlib.contextmanager
def taken_away(scene: Scene) -> Iterator[Callable[[], None]]:
    yield scene.bad.unlink


@contextlib.contextmanager
def goal_is_folder(scene: Scene) -> Iterator[None]:
    (scene.receiver / "bad" / "in").mkdir(parents=True)
    yield None


@contextlib.contextmanager
def goal_is_there(scene: Scene) -> Iterator[None]:
    (scene.receiver / "bad").write_bytes(b"another")
    yield None


def with_mode(which: Callable[[Scene], Path], mode: int) -> Callable[[Scene], contextlib.AbstractContextManager[None]]:
    """A file or folder has other permissions."""

    @contextlib.contextmanager
    def breaking(scene: Scene) -> Iterator[None]:
        path = which(scene)
        before = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode)
        try:
            yield
        finally:
            path.chmod(before)

    return breaking


@contextlib.contextmanager
def small_quota(scene: Scene) -> Iterator[None]:
    clients = scene.ends.base / "server" / FILE_NAME
    before = clients.read_text()
    clients.write_text(before.replace(" bench", " bench quota=8M"))
    try:
        yield
    finally:
        clients.write_text(before)


@contextlib.contextmanager
def made_up(scene: Scene) -> Iterator[None]:
    (scene.sender / "made").mkdir()
    with mounted(scene.sender / "made", "-t", "proc", "proc"):
        yield


@contextlib.contextmanager
def made_up_page(scene: Scene) -> Iterator[None]:
    (scene.sender / "made").mkdir()
    with mounted(scene.sender / "made", "-t", "sysfs", "sysfs"):
        yield


CASES = (
    Case("full", too_small_disk, "bad: the receiver's disk is full; free some space there", needs_root=True),
    Case("filled", disk_filled_up, "bad: the receiver's disk is full.* is kept", "kept", needs_root=True),
    Case("unreadable disk", failing_disk, "bad: cannot be read: Input.* is kept", "kept", needs_root=True),
    Case("changed", changed, "bad: was changed while it was being sent; send it again; .* is removed"),
    Case("cut", cut, "bad: was cut from 12000000 to 1000 bytes while"),
    Case("replaced", replaced, "bad: was replaced by another file while"),
    Case("taken away", taken_away, "^$", "all"),
    Case("goal is folder", goal_is_folder, "bad: is a folder at the receiver; choose another name", "all"),
    Case("goal is there", goal_is_there, "bad: is there already; say --overwrite", "all"),
    Case(
        "may not write", with_mode(lambda scene: scene.receiver, 0o555), "bad: no permission to write there",
        next_arrives=False,
    ),
    Case(
        "may not enter", with_mode(lambda scene: scene.receiver, 0), "no permission to enter", next_arrives=False
    ),
    Case("may not read", with_mode(lambda scene: scene.bad, 0), "bad: no permission to read it"),
    Case("quota", small_quota, "bad: needs 12000000 bytes, and the quota has [0-9]+ left", commands=("put",)),
    Case("made up", made_up, "version: the system makes", names=("made/version", "next"), needs_root=True),
    Case("made up page", made_up_page, "the system makes", names=("made/kernel/fscaps", "next"), needs_root=True),
)  # fmt: skip


# --- trying it -------------------------------------------------------------------------------------------------------

SETTLED_WITHIN = 3.0  # seconds after the client has ended: the receiver removes in a thread what it has cancelled


def attempt(ends: Ends, case: Case, command: str) -> bool:
    """Try one, and print a line; whether it was as it has to be."""
    out, box = ("here", "there") if command == "put" else ("there", "here")
    scene = Scene(ends, command, ends.base / out / "out", ends.base / box / "box")
    for folder in (scene.sender, scene.receiver):
        folder.mkdir()
    random = Random(1)
    scene.bad.write_bytes(random.randbytes(SIZE))
    (scene.sender / "next").write_bytes(random.randbytes(100_000))
    own(ends.base)
    digest = digest_of(scene.sender / "next")
    with case.breaking(scene) as during:
        ended = scene.call(case.names, during)
        with contextlib.suppress(PermissionError):
            arrived = digest_of(scene.receiver / "next") == digest
            ends_at = time.monotonic() + SETTLED_WITHIN
            while (left := left_of(scene)) != case.left and time.monotonic() < ends_at:
                time.sleep(0.05)
    line = " / ".join(line for line in ended.lines if "next:" not in line)
    well = bool(re.search(case.says, line)) and arrived == case.next_arrives and left == case.left
    other = "next arrived" if arrived else "next did not arrive"
    print(
        f"{'' if well else 'WRONG: '}{case.name}, {command}: {line or 'no error'} [{other}, left: {left}]", flush=True
    )
    for folder in (scene.sender, scene.receiver):
        shutil.rmtree(folder)
    return well


def own(folder: Path) -> None:
    """Everything is the programs' user's."""
    if IS_ROOT:
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(folder)], check=True)


def left_of(scene: Scene) -> str:
    """What is left of `bad` at the receiver."""
    if (scene.receiver / "bad").exists():
        return "all"
    return "kept" if partial_in(scene.receiver) is not None else "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", help="their names, with commas; all of them otherwise")
    chosen = [name for name in parser.parse_args().cases.split(",") if name]
    before = AS_NOBODY if IS_ROOT else []
    wrong = 0
    with two_ends(before_server=before, before_client=before) as ends:
        own(ends.base)
        ends.serve()
        for case in CASES:
            if chosen and case.name not in chosen:
                continue
            if case.needs_root and not IS_ROOT:
                print(f"{case.name}: needs root")
                continue
            wrong += sum(not attempt(ends, case, command) for command in case.commands)
    if wrong:
        raise SystemExit(f"{wrong} not as it has to be")


if __name__ == "__main__":
    main()
