"""BittrRt: an encrypted real-time link between two machines over UDP.

The seed's programming interface is here, and that of sessions: messages, streams, put and get. The rest has its
folders: `wire` (bytes to values), `link` (what an end knows), `files` (the disk), `net` (Twisted) and `app` (the
programs).
"""

from .files.home import Home
from .files.identity import Identity, load_or_create_identity
from .files.known_servers import KnownServer, KnownServers
from .link.encryptor import CommEncryptor
from .net.client import Client
from .net.connection import CommConnection
from .net.handlers import CtrlHandler, DnHandler, PortHandler, UpHandler
from .net.link_keeper import SessionOpener
from .net.port_manager import PortManager
from .net.put_get import get, put
from .net.server import Server
from .net.session import Session, SessionProtocol
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
