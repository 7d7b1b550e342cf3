"""BittrRt: an encrypted real-time link between two machines over UDP.

The seed's programming interface is here, and that of sessions: messages, streams, put and get. The rest has its
folders: `wire` (bytes to values), `link` (what an end knows), `files` (the disk), `net` (Twisted) and `app` (the
programs).

A name is imported when it is first asked for (PEP 562): a command that needs three of them starts sooner by the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .files.home import Home
    from .files.identity import Identity, load_or_create_identity
    from .files.known_servers import KnownServer, KnownServers
    from .link.encryptor import CommEncryptor
    from .net.client import Client
    from .net.connection import CommConnection
    from .net.handlers import CtrlHandler, DnHandler, PortHandler, UpHandler
    from .net.port_manager import PortManager
    from .net.put_get import get, put
    from .net.server import Server
    from .net.session import Session, SessionProtocol
    from .net.session_opener import SessionOpener
    from .net.session_opening import open_session, serve_sessions
    from .net.stream_transport import StreamTransport
    from .net.tally import Tally
    from .settings import Settings
    from .wire.datagram import MsgFlags, PortType
    from .wire.spans import SequenceSpan, SpanSet

__version__ = "0.6.0"

__all__ = [
    "Client",
    "CommConnection",
    "CommEncryptor",
    "CtrlHandler",
    "DnHandler",
    "Home",
    "Identity",
    "KnownServer",
    "KnownServers",
    "MsgFlags",
    "PortHandler",
    "PortManager",
    "PortType",
    "SequenceSpan",
    "Server",
    "Session",
    "SessionOpener",
    "SessionProtocol",
    "Settings",
    "SpanSet",
    "StreamTransport",
    "Tally",
    "UpHandler",
    "get",
    "load_or_create_identity",
    "open_session",
    "put",
    "serve_sessions",
]

_MODULES: Final = {
    ".files.home": ("Home",),
    ".files.identity": ("Identity", "load_or_create_identity"),
    ".files.known_servers": ("KnownServer", "KnownServers"),
    ".link.encryptor": ("CommEncryptor",),
    ".net.client": ("Client",),
    ".net.connection": ("CommConnection",),
    ".net.handlers": ("CtrlHandler", "DnHandler", "PortHandler", "UpHandler"),
    ".net.session_opener": ("SessionOpener",),
    ".net.port_manager": ("PortManager",),
    ".net.put_get": ("get", "put"),
    ".net.server": ("Server",),
    ".net.session": ("Session", "SessionProtocol"),
    ".net.session_opening": ("open_session", "serve_sessions"),
    ".net.stream_transport": ("StreamTransport",),
    ".net.tally": ("Tally",),
    ".settings": ("Settings",),
    ".wire.datagram": ("MsgFlags", "PortType"),
    ".wire.spans": ("SequenceSpan", "SpanSet"),
}
_MODULE_OF: Final = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # or every name would be one for a type checker

    def __getattr__(name: str) -> Any:
        """A public name that was not asked for before."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULE_OF[name], __name__), name)
        return value


def __dir__() -> list[str]:
    """The public names too that were not asked for yet."""
    return sorted(globals().keys() | _MODULE_OF.keys())
