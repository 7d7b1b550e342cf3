"""Which names of files may come from a peer, or go to one.

    photos/2024/été.jpg        parts of UTF-8 text with `/` between them, never absolute
    |----| |--| |-----|
     part  part  part          1 to 255 bytes each, 4095 all together, at most 128 parts

A name is refused, never repaired: a repaired name is another file's. What is refused here cannot leave a folder, cannot
look in a terminal like something that it is not, means the same file on every system that people use, and is never one
of the hidden files of a transfer under way. Symbolic links are another matter, that of `root`, where a name that passed
becomes a place on the disk.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

from ..errors import NameRefused

MAX_NAME: Final = 4095  # bytes of UTF-8; Linux: PATH_MAX, less the NUL
MAX_PART: Final = 255  # bytes of UTF-8; NAME_MAX of nearly every file system
MAX_PARTS: Final = 128  # a walk holds a descriptor a level

HIDDEN_PREFIX: Final = ".bittrrt-"
"""What partial files and journals are called, and nothing from a peer may be."""

# Signs that look like a separator of paths. Letters of living scripts that do too (U+30CE of katakana, U+4E3F of Han)
# are not here: people write them.
_SEPARATORS: Final = frozenset(
    "\\\u1735\u2041\u2044\u2215\u2216\u2571\u2572\u27cb\u27cd\u29f5\u29f8\u29f9\ufe68\uff0f\uff3c"
)
_BIDI_CONTROLS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # Unicode TR 36: spoofing
_CONTROL_CATEGORIES: Final = frozenset(("Cc", "Zl", "Zp"))
_INVISIBLE_CATEGORY: Final = "Cf"

# Windows opens a device for these, whatever follows the first dot, in any folder.
_DEVICES: Final = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"]
    + [f"{port}{number}" for port in ("COM", "LPT") for number in range(10)]
)


def parse_name_untrusted(name: str) -> tuple[str, ...]:
    """The parts of a relative name. Raises `NameRefused`, and nothing else, for any that is not acceptable."""
    if name.startswith("/"):
        raise NameRefused(f"{shown_untrusted(name)}: an absolute path; give a name inside the folder")
    if len(name) > MAX_NAME or len(name.encode("utf-8", "replace")) > MAX_NAME:
        raise NameRefused(f"{shown_untrusted(name)}: longer than {MAX_NAME} bytes; use a shorter path")
    parts = tuple(name.split("/"))
    if len(parts) > MAX_PARTS:
        raise NameRefused(f"{shown_untrusted(name)}: more than {MAX_PARTS} folders deep; use a shorter path")
    for part in parts:
        fault = _fault(part)
        if fault:
            raise NameRefused(f"{shown_untrusted(name)}: {fault}; rename it")
    return parts


def below(folder: str, name: str) -> str:
    """`name` in `folder`, which may be the empty name of the destination itself."""
    return f"{folder}/{name}" if folder and name else folder or name


def shown_untrusted(name: str, limit: int = 120) -> str:
    """A name as a person may be shown it: in quotes, escaped where it is not plain ASCII, cut after `limit` signs."""
    return ascii(name) if len(name) <= limit else ascii(name[:limit]) + "..."


def is_hidden(part: str) -> bool:
    """Whether a part of a name is, or would be taken for, a hidden file of a transfer."""
    folded = unicodedata.normalize("NFKC", part).casefold()
    if not folded.isascii():  # some file systems leave invisible signs out when they compare names
        folded = "".join([sign for sign in folded if unicodedata.category(sign) != _INVISIBLE_CATEGORY])
    return folded.startswith(HIDDEN_PREFIX)


def _is_not_text(part: str) -> bool:
    return not part.isprintable() and any(unicodedata.category(sign) == "Cs" for sign in part)


def _turns_text(part: str) -> bool:
    return not part.isprintable() and not _BIDI_CONTROLS.isdisjoint(part)


def _has_controls(part: str) -> bool:
    return not part.isprintable() and any(unicodedata.category(sign) in _CONTROL_CATEGORIES for sign in part)


def _folds_to_path(part: str) -> bool:
    folded = unicodedata.normalize("NFKC", part)  # what some systems and programs make of compatible forms
    return folded in (".", "..") or "/" in folded or "\\" in folded


def _is_device(part: str) -> bool:
    folded = unicodedata.normalize("NFKC", part)
    return folded.partition(".")[0].partition(":")[0].rstrip(" ").upper() in _DEVICES


_FAULTS: Final[tuple[tuple[Callable[[str], bool], str], ...]] = (
    (lambda part: not part, "a part of the name is empty"),
    (lambda part: part in (".", ".."), "'.' and '..' are not names"),
    (_is_not_text, "it is not UTF-8"),
    (_has_controls, "there are control characters in it"),
    (_turns_text, "signs in it turn the direction of the text"),
    (lambda part: not _SEPARATORS.isdisjoint(part), "a sign in it is, or looks like, a separator of paths"),
    (_folds_to_path, "it is a look-alike of another path"),
    (lambda part: len(part.encode()) > MAX_PART, f"a part of the name is longer than {MAX_PART} bytes"),
    (lambda part: part[-1] in ". ", "a part of the name ends with a dot or a space"),
    (_is_device, "Windows reserves that name for a device"),
    (is_hidden, f"names that begin with {HIDDEN_PREFIX} are those of transfers under way"),
)


def _fault(part: str) -> str | None:
    """What is wrong with one part of a name, or None."""
    return next((reason for applies, reason in _FAULTS if applies(part)), None)
