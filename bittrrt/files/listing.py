"""What a peer may see of a folder: what is in it, name by name."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from ..errors import FileMissing, NotAFile
from .names import parse_name_untrusted
from .root import Root
from .tree import Entry, Skipped, walk
from .version import PERMISSIONS


def look_untrusted(root: Root, path: str) -> Entry | None:
    """What is at a path that a peer asks for, links followed; None if nothing is. Raises a `FileError`."""
    if not path:
        return Entry("", True, 0, 0, PERMISSIONS)
    name = parse_name_untrusted(path)[-1]
    try:
        with root.locate_untrusted(path, follow=True) as place:
            status = place.status()
    except FileMissing:
        return None
    if status is None:
        return None
    is_folder = stat.S_ISDIR(status.st_mode)
    if not is_folder and not stat.S_ISREG(status.st_mode):
        raise NotAFile(f"{path}: a device, a pipe or a socket")
    mode = stat.S_IMODE(status.st_mode) & PERMISSIONS
    return Entry(name, is_folder, 0 if is_folder else status.st_size, status.st_mtime_ns, mode)


def list_untrusted(root: Root, path: str) -> Iterator[Entry | Skipped]:
    """What is in the folder that a peer asks for; of a file, the file. May block. Raises a `FileError`."""
    found = look_untrusted(root, path)
    if found is None:
        raise FileMissing(f"{path}: no such file or folder")
    if not found.is_folder:
        yield found
        return
    with root.locate_folder_untrusted(path) as folder:
        yield from walk(folder, recursive=False)
