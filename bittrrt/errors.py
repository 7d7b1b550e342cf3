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


class TakesNothing(Rejected):
    """The peer is there, and has not taken anything of what it is sent for a minute: see `net.neglect`."""


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


class HistoryUnusable(LinkError):
    """The file with the history of this end's links cannot be read or written."""


class HistoryDamaged(HistoryUnusable):
    """What is in that file is no history, or is broken."""


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


class InviteUsed(InviteRejected):
    """It let a client in before."""


class InviteExpired(InviteRejected):
    """Its time is over."""


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


class PeerMisbehaved(LinkError):
    """The other end broke the rules of the link: what it sent is authentic, and cannot be. The session is closed."""


class ControlOverflow(LinkError):
    """More control messages wait than are worth the memory: the other end does not take them."""


class ActionRefused(LinkError):
    """What was asked for on the page cannot be done."""


# --- files -----------------------------------------------------------------------------------------------------------


class DataBeyondEnd(Rejected):
    """Bytes of a file at an offset that the file, as it was offered, does not have."""


class DataTooScattered(Rejected):
    """Bytes of a file with so many holes between them that no honest sender can have made them."""


class FileError(LinkError):
    """One file, folder or name cannot be transferred; the session goes on with the next."""


class NameRefused(FileError):
    """A name that would leave the folder, hide what it is, or not be the same file on another machine."""


class FileMissing(FileError):
    """There is no such file or folder."""


class NotAFile(FileError):
    """A device, a pipe, a socket or a folder where a file has to be, or something else where a folder has to be."""


class LeftOut(NotAFile):
    """A symbolic link, a device, a pipe or a socket in a folder: it is not sent, and nothing is wrong with that."""


class TargetExists(FileError):
    """A file of that name is there, and nobody said that it may be overwritten."""


class TargetIsFolder(FileError):
    """A file should be written where a folder of that name is."""


class PermissionRefused(FileError):
    """The operating system, or the rights of this client, do not allow it."""


class DiskFull(FileError):
    """No space left on the receiver's disk."""


class QuotaReached(FileError):
    """The client may not store that much."""


class ReadFailed(FileError):
    """The sender's disk could not be read."""


class WriteFailed(FileError):
    """The receiver's disk could not be written."""


class SourceChanged(FileError):
    """The file was changed, cut or replaced while it was being sent."""

    retry = True


class DigestMismatch(FileError):
    """What arrived is not what was sent."""

    retry = True


class TransferBusy(FileError):
    """Another transfer is writing the same file."""

    retry = True
