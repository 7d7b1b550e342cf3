"""Where `bittrrt get` puts what it gets."""

from __future__ import annotations

from pathlib import Path

from ..errors import SettingsError
from ..files.root import Root


def get_target(target: Path, *, alone: bool, whole: bool, trailing: bool) -> tuple[Root, str]:
    """The folder that files go to, and the name that a single one gets there; empty if it keeps its own.

    `alone`: one path is asked for; `whole`: it is all that the server shows; `trailing`: the target ends in a `/`. The
    folder is made if need be. Raises `SettingsError` and what `Root` does.
    """
    if target.is_dir():
        return Root(target), ""
    wants_folder = target.parent if alone and not whole and not trailing else target
    for path in (wants_folder, *wants_folder.parents):
        if path.exists() and not path.is_dir():
            raise SettingsError(f"{path}: a file, where a folder has to be; choose another name")
    if wants_folder is not target:
        return Root(wants_folder), target.name
    try:
        target.mkdir()
    except OSError as error:
        raise SettingsError(f"{target}: cannot be made: {error.strerror}") from None
    return Root(target), ""
