"""What the operating system says, as one line for a person at the other end of the link.

The text names the file as that person knows it, never a path of this machine, and says what is left of a transfer.
"""

from __future__ import annotations

import errno
import os
from enum import Enum
from typing import Final

from ..errors import (
    DiskFull,
    FileError,
    FileMissing,
    NameRefused,
    NotAFile,
    PermissionRefused,
    QuotaReached,
    ReadFailed,
    SourceChanged,
    TargetExists,
    TargetIsFolder,
    WriteFailed,
)


class Left(Enum):
    """What is left at the receiver when a transfer fails, as the line says it."""

    UNTOUCHED = ""
    """Nothing was begun."""
    KEPT = "; what has arrived is kept"
    """The partial file and its journal stay: the next call goes on from there."""
    REMOVED = "; what had arrived is removed"
    """The partial file is gone: the next call starts anew."""
    NAMED = "; it is whole and has its name, but a power cut may still take it"
    """Only the folder could not be synced."""


_DENIED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_MISSING: Final = (errno.ENOENT, errno.ENOTDIR)
_WRITE_ERRORS: Final[tuple[tuple[tuple[int, ...], type[FileError], str], ...]] = (
    ((errno.ENOSPC,), DiskFull, "the receiver's disk is full; free some space there and try again"),
    ((errno.EDQUOT,), QuotaReached, "the disk quota of the receiver's account is used up; free some of it"),
    ((errno.EFBIG,), DiskFull, "larger than the receiver's file system or limits allow"),
    (_DENIED, PermissionRefused, "no permission to write there"),
    (_MISSING, FileMissing, "no such folder at the receiver; make it first"),
    ((errno.ELOOP,), NameRefused, "a symbolic link took its place"),
)


def read_error(error: OSError, shown: str) -> FileError:
    """The error of a file or folder that could not be opened or read."""
    if error.errno in _DENIED:
        return PermissionRefused(f"{shown}: no permission to read it")
    if error.errno in _MISSING:
        return FileMissing(f"{shown}: no such file or folder")
    if error.errno == errno.ELOOP:  # O_NOFOLLOW met a link that was not there a moment ago
        return NameRefused(f"{shown}: a symbolic link took its place")
    if error.errno in (errno.EISDIR, errno.ENXIO):
        return NotAFile(f"{shown}: not a regular file")
    return ReadFailed(f"{shown}: cannot be read: {_reason(error)}; check that disk")


def folder_error(error: OSError, shown: str, which: str = "that folder") -> FileError:
    """The error of a folder that could not be opened, to look into it or to go through it to `shown`."""
    if error.errno in _DENIED:
        return PermissionRefused(f"{shown}: no permission to enter {which}")
    return read_error(error, shown)


def left_by_sender(error: FileError | None) -> Left:
    """What the receiver leaves of a file that its sender gave up with this error, or with the session."""
    return Left.REMOVED if isinstance(error, SourceChanged) else Left.KEPT


def write_error(error: OSError, shown: str, left: Left = Left.UNTOUCHED) -> FileError:
    """The error of a file or folder that could not be made or written, and what is left of it."""
    if error.errno == errno.EEXIST:
        return target_exists(shown, left)
    if error.errno in (errno.EISDIR, errno.ENOTEMPTY):
        return target_is_folder(shown, left)
    for numbers, kind, text in _WRITE_ERRORS:
        if error.errno in numbers:
            return kind(f"{shown}: {text}{left.value}")
    return WriteFailed(f"{shown}: cannot be written: {_reason(error)}; check the receiver's disk{left.value}")


def target_exists(shown: str, left: Left = Left.UNTOUCHED) -> TargetExists:
    """The error of a file that may not be overwritten."""
    return TargetExists(f"{shown}: is there already; say --overwrite to replace it{left.value}")


def target_is_folder(shown: str, left: Left = Left.UNTOUCHED) -> TargetIsFolder:
    """The error of a file that should take a folder's place."""
    return TargetIsFolder(f"{shown}: is a folder at the receiver; choose another name{left.value}")


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno is not None else type(error).__name__
