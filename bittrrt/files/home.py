"""The home directory: this end's key and what it knows of others, in text files that people can read and edit.

    ~/.bittrrt/                     0700
        identity.pem                this end's private key
        known_servers               servers that it has joined
        authorized_clients          clients that it lets in
        invites                     links that it gave out
        history.db                  what its links were like: SQLite's, see `history.py`, with -wal and -shm beside it
        .lock                       held by whoever changes one of these
        .NAME.new                   what will be NAME; left behind by a cut power only, and replaced by the next change

The server and the `bittrrt` command may change the same file at the same moment, so a change is: take the lock, read,
write the whole file anew beside the old one, sync it, rename it over the old one, sync the directory. Reading needs no
lock: there is always one whole file, the old or the new.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import SettingsError

Signature = tuple[int, int, int]
"""Time of the last change in ns, size in bytes, inode: another one means other content."""


class Home:
    """One home directory. Its files are text in UTF-8; bytes that are not UTF-8 survive being read and written back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._this_process = threading.RLock()  # flock alone would let two threads that share this object both in
        self._lock_depth = 0
        self._lock_fd = -1
        self._staged: list[str] | None = None  # names whose new text waits for `together` to end

    def ensure(self) -> None:
        """Make the directory, 0700, if it is not there. Raises `SettingsError` if that fails, or if others can write
        in it: they could put their own keys there.
        """
        with _plain_errors("make the directory", self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self.path.stat().st_mode
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise SettingsError(f"others can write in {self.path}, and so replace keys: run chmod go-w {self.path}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process and thread from changing these files; makes the directory. May be nested."""
        with self._this_process:
            if not self._lock_depth:
                self._lock_fd = self._take_lock()
            self._lock_depth += 1
            try:
                yield
            finally:
                self._lock_depth -= 1
                if not self._lock_depth:
                    os.close(self._lock_fd)  # which lets the lock go

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written inside takes its place at the end, in that order: all of it, or nothing if that fails.

        All that needs space is done before the first file is replaced, so a full disk changes none of them. Only a kill
        between two renames leaves the first alone changed. Holds the lock; what is read inside is the old text.
        """
        with self.locked():
            if self._staged is not None:
                raise ValueError("changes are being made together already")
            staged: list[str] = []
            self._staged = staged
            try:
                yield
                for name in staged:
                    with _plain_errors("write", self.path / name):
                        self._new(name).rename(self.path / name)
                with _plain_errors("write", self.path):
                    self._sync_directory()
            finally:
                self._staged = None
                for name in staged:
                    with suppress(OSError):
                        self._new(name).unlink(missing_ok=True)

    def _take_lock(self) -> int:
        self.ensure()
        path = self.path / ".lock"
        with _plain_errors("lock", path):
            try:
                fd = self._create(path)
            except FileExistsError:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except BaseException:
                os.close(fd)
                raise
        return fd

    def signature(self, name: str) -> Signature | None:
        """What tells cheaply whether the file was changed; None if there is none."""
        path = self.path / name
        with _plain_errors("read", path):
            try:
                status = path.stat()
            except FileNotFoundError:
                return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def read(self, name: str) -> str:
        """The file's text, empty if there is no such file. Raises `SettingsError` if it cannot be read."""
        path = self.path / name
        with _plain_errors("read", path):
            try:
                return _decode(path.read_bytes())
            except FileNotFoundError:
                return ""

    def read_lines(self, name: str) -> list[str]:
        """The file's lines. Only a newline ends one, so that no other character can split a line that a peer named."""
        lines = self.read(name).split("\n")
        return lines if lines[-1] else lines[:-1]

    def read_secret(self, name: str) -> str | None:
        """The text of a file that is for its owner alone, None if there is no such file.

        Raises `SettingsError` if it cannot be read, or, as ssh does, if others can read or write it.
        """
        path = self.path / name
        with _plain_errors("read", path):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                return None
            with file:
                mode = os.fstat(file.fileno()).st_mode
                if mode & (stat.S_IRWXG | stat.S_IRWXO):
                    raise SettingsError(f"{path} is not for its owner alone: run chmod 600 {path}")
                return _decode(file.read())

    def write(self, name: str, text: str) -> None:
        """Put `text`, and nothing half, in the file's place; on return, but for one within `together`, it is on disk.

        The file is 0600. Raises `SettingsError` if it cannot: the old file is as it was.
        """
        path, new = self.path / name, self._new(name)
        with self.locked(), _plain_errors("write", path):
            new.unlink(missing_ok=True)
            try:
                with open(self._create(new), "wb") as file:
                    file.write(text.encode("utf-8", "surrogateescape"))
                    file.flush()
                    os.fsync(file.fileno())
                if self._staged is not None:
                    self._staged.append(name)
                    return
                new.rename(path)
            except BaseException:
                with suppress(OSError):
                    new.unlink(missing_ok=True)
                raise
            self._sync_directory()

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Put these lines in the file's place, as `write` does."""
        self.write(name, "".join([f"{line}\n" for line in lines]))

    def make_private(self, name: str) -> Path:
        """The path of a file that is not written as a whole; it is made, empty and 0600, if it is not there.

        Raises `SettingsError` if it cannot be made.
        """
        path = self.path / name
        with self.locked(), _plain_errors("make", path), suppress(FileExistsError):
            os.close(self._create(path))
        return path

    def give_to(self, uid: int, gid: int) -> None:
        """Make a user the owner of the directory and of the files right in it: for a server that was started as root.

        That user may have written here before, so nothing is followed: no symbolic link, and no hard link, which could
        be another name of a file elsewhere.
        """
        with _plain_errors(f"give to user {uid}", self.path):
            directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                for name in os.listdir(directory):
                    if not stat.S_ISREG(os.lstat(name, dir_fd=directory).st_mode):
                        continue
                    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
                    try:
                        status = os.fstat(fd)
                        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                            os.fchown(fd, uid, gid)
                    finally:
                        os.close(fd)
                os.fchown(directory, uid, gid)
            finally:
                os.close(directory)

    def _new(self, name: str) -> Path:
        return self.path / f".{name}.new"

    def _create(self, path: Path) -> int:
        """A new file, 0600, that belongs to the directory's owner also when root makes it: `bittrrt invite`, run by
        root, must not leave a file that the server, which gave root up, cannot read.
        """
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        if os.geteuid() == 0:
            owner = self.path.stat()
            os.fchown(fd, owner.st_uid, owner.st_gid)
        return fd

    def _sync_directory(self) -> None:
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@contextmanager
def _plain_errors(verb: str, path: Path) -> Iterator[None]:
    """Turn the system's errors into one line for a person."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"cannot {verb} {path}: {error.strerror or error}") from None
