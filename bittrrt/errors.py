"""Every exception that BittrRt raises.

Two families. `Rejected` is for bytes: something from the network was not what it has to be, nothing of it was believed,
and the caller counts it and goes on. `LinkError` is for people: its text is one line that says what happened and what
to do, and is shown as it is.
"""

from __future__ import annotations


class BittrRtError(Exception):
    """The base of all of them."""


# --- bytes -----------------------------------------------------------------------------------------------------------


class Rejected(BittrRtError, ValueError):
    """Bytes from outside that are not what they have to be."""


class DatagramTooShort(Rejected):
    """Shorter than the overhead of an empty datagram, 48 bytes."""


class EpochNotAccepted(Rejected):
    """Names a key epoch that this end does not hold: not the current one, the next one, nor the last in its grace."""


class NotAuthentic(Rejected):
    """The tag does not fit: forged, changed on the way, reflected, or from another session."""


class MalformedHeartbeat(Rejected):
    """A heartbeat whose text is not the countdown's."""


class MalformedSpans(Rejected):
    """Spans that are not ascending, disjoint pairs of 64-bit numbers."""


class MalformedAcknowledgement(Rejected):
    """Acknowledgement bytes that are not a whole frame, or whose channels and spans are not in order."""


class AcknowledgedUnsent(Rejected):
    """The peer acknowledges a sequence that was never sent: it lies, and the session is closed."""


class CreditExceeded(Rejected):
    """The peer sent more than it was given credit for, beyond the end of a channel, or on one that is not open."""


class MalformedMessage(Rejected):
    """A netstring or its JSON that is not one of the messages expected."""


# --- programs --------------------------------------------------------------------------------------------------------


class KeyAgreementError(BittrRtError, ValueError):
    """No link can be made of these public keys, or none was made yet."""


class KeyExhausted(BittrRtError):
    """Every nonce of every epoch was used; the link has to be made anew."""


# --- people ----------------------------------------------------------------------------------------------------------


class LinkError(BittrRtError):
    """The text is for a person: what happened, and what to do."""

    retry = False
    """Whether trying again later can help without anybody doing anything."""


class SettingsError(LinkError):
    """A setting, an option or a line of a file in the home directory that cannot be used."""


class PortsExhausted(LinkError):
    """The server has no three UDP ports left in its ranges."""

    retry = True


class Unreachable(LinkError):
    """The server's name, address or TCP port does not answer."""

    retry = True


class NotBittrRt(LinkError):
    """Something answers there, and it is no BittrRt server, or one of another protocol version."""


class ServerUnknown(LinkError):
    """This end has never joined that server."""


class ServerKeyChanged(LinkError):
    """The server showed another key than the one pinned for it. Nothing was sent to it."""


class InviteRejected(LinkError):
    """The link's invite was used already, has expired, or was never made by this server."""


class ClientRejected(LinkError):
    """The server does not know this client's key, or its owner has revoked it."""


class ServerBusy(LinkError):
    """The server lets nobody in right now: too many sessions, or too many connections."""

    retry = True


class LinkLost(LinkError):
    """Nothing authentic was heard for too long."""

    retry = True


class LinkClosed(LinkError):
    """The other end said goodbye."""

    retry = True
