"""What somebody else chose or said, on its way to a person's terminal."""

from __future__ import annotations

from ..files.names import shown_untrusted


def plain(text: str) -> str:
    """The text as it can be shown: in quotes and escaped, if a terminal would do something with it."""
    return text if text.isprintable() else shown_untrusted(text)
