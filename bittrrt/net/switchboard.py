"""One session's data plane, shared by all that uses it: files, a program, or both at the same time.

control message, of files   --> files       the part is made when its first message comes, or this end begins
    of a program            --> program
lossy message               --> program
the end of a stream         --> both: each knows which ones are its own
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..errors import LinkError
from ..wire.session_messages import Kind, SessionMessage, Topic, pack_session_message, topic_of
from .client import Client
from .data_plane import DataPlane
from .streams import DataPlaneListener

OpenDataPlane = Callable[[DataPlaneListener], DataPlane]
"""Opens a session's data plane for whom it is to tell what comes."""

MakePart = Callable[[OpenDataPlane], DataPlaneListener]
"""Makes what uses the data plane: files, or a program."""


class Switchboard:
    """Listens to a session's data plane, and tells its parts what is theirs."""

    def __init__(self, open_plane: OpenDataPlane, makers: dict[Topic, MakePart]) -> None:
        """`makers`: what this end has for each topic; without one, the other end is told that it is refused."""
        self.parts: dict[Topic, DataPlaneListener] = {}
        self._makers = makers
        self._refused: set[Topic] = set()
        self._closed = False
        self.plane = open_plane(self)

    def part(self, topic: Topic) -> DataPlaneListener | None:
        """What this end has for a topic, made now if it was not before; None if it has nothing."""
        part = self.parts.get(topic)
        if part is None and topic in self._makers and not self._closed:
            part = self._makers[topic](lambda _: self.plane)
            self.parts[topic] = part
        return part

    # --- DataPlaneListener -------------------------------------------------------------------------------------------

    def control_received(self, message: bytes) -> None:
        """See `DataPlaneListener`."""
        topic = topic_of(message)
        part = self.part(topic)
        if part is not None:
            part.control_received(message)
        elif topic not in self._refused and not self._closed:
            self._refused.add(topic)
            self.plane.send_control(pack_session_message(SessionMessage(Kind.REFUSE, topic)))

    def message_received(self, channel: int, data: bytes) -> None:
        """See `DataPlaneListener`."""
        part = self.parts.get(Topic.PROGRAM) or self.parts.get(Topic.FILES)
        if part is not None:
            part.message_received(channel, data)

    def stream_received(self, channel: int) -> None:
        """See `DataPlaneListener`."""
        for part in list(self.parts.values()):
            part.stream_received(channel)

    def stream_failed(self, channel: int, error: Exception) -> None:
        """See `DataPlaneListener`."""
        for part in list(self.parts.values()):
            part.stream_failed(channel, error)

    def data_plane_failed(self, why: LinkError) -> None:
        """See `DataPlaneListener`."""
        for part in list(self.parts.values()):
            part.data_plane_failed(why)

    def data_plane_closed(self) -> None:
        """See `DataPlaneListener`."""
        self._closed = True
        for part in list(self.parts.values()):
            part.data_plane_closed()


@dataclass(slots=True)
class Services:
    """What a server does for its clients, each in the same session if a client wants both."""

    files: Callable[[Client, OpenDataPlane], DataPlaneListener] | None = None
    """Makes what takes and offers files."""
    programs: Callable[[Client, OpenDataPlane], DataPlaneListener] | None = None
    """Makes this end of a program's session."""

    def accept(self, client: Client) -> DataPlaneListener | None:
        """Who takes what a client sends; None if nobody does."""
        makers: dict[Topic, MakePart] = {}
        if self.files is not None:
            makers[Topic.FILES] = partial(self.files, client)
        if self.programs is not None:
            makers[Topic.PROGRAM] = partial(self.programs, client)
        return Switchboard(client.conn.open_data_plane, makers) if makers else None
