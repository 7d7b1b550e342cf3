"""BittrRt: an encrypted real-time link between two machines over UDP.

The seed's programming interface is here. The rest has its folders: `wire` (bytes to values), `link` (what an end
knows), `files` (the disk), `net` (Twisted) and `app` (the programs).
"""

from .link.encryptor import CommEncryptor
from .net.client import Client
from .net.connection import CommConnection
from .net.handlers import CtrlHandler, DnHandler, PortHandler, UpHandler
from .net.port_manager import PortManager
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
    "MsgFlags",
    "PortHandler",
    "PortManager",
    "PortType",
    "SequenceSpan",
    "Settings",
    "SpanSet",
    "UpHandler",
]
