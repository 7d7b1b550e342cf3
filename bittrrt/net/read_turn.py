"""One turn of reading: many datagrams by one system call, wherever there is one for that.

recvmmsg(2) of Linux fills 64 slots of a buffer in one call, and says of each how long it is, who sent it, and, where
the kernel has joined datagrams (UDP_GRO), how long one of them is. Python's socket module has no such call, so it is
made by ctypes: 0.5 us a datagram instead of the 1.4 of a `recvmsg_into` each, and no answer to take apart.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ..link.read_buffer import MAX_READ, SLOT, SLOTS, ReadBuffer, Reads

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""As a socket gives it: host, port and, for IPv6, flow and scope, without which no link-local peer is reached."""

Turn: TypeAlias = list[tuple[SocketAddress, Reads]]
"""What came, in its order, put together while it is of one address."""

# Linux's numbers, from its uapi headers: Python's socket module does not name them.
UDP_GRO: Final = 104
SO_RXQ_OVFL: Final = 40

_NAME_SIZES: Final = {socket.AF_INET: 16, socket.AF_INET6: 28}
_IPV4: Final = struct.Struct("!2xH4s")
_IPV6: Final = struct.Struct("!2xHI16s")
_SCOPE: Final = struct.Struct("=I")
_CONTROL_ROOM: Final = 64  # bytes; two control messages of four bytes take 48
_CONTROL: Final = struct.Struct("@Nii")  # of a control message: its length with this, level, type
_WORD: Final = struct.Struct("=I")  # of both control messages that come


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


class TurnReader:
    """Reads the sockets of one address family into `buffer`, a call a datagram: everywhere."""

    joined = False
    """Whether it takes datagrams that the kernel has joined."""

    def __init__(self, buffer: ReadBuffer) -> None:
        self.buffer: Final = buffer
        self.overflowed: int | None = None
        """Datagrams that the kernel has dropped of the socket read last, if it has said so."""

    def read(self, opened: socket.socket, most: int) -> Turn:
        """What has come, of at most `most` reads. Raises `OSError`, `BlockingIOError` if there is nothing."""
        lengths: list[int] = []
        addresses: list[SocketAddress] = []
        for slot in range(min(most, SLOTS)):
            try:
                length, address = opened.recvfrom_into(self.buffer.slot(slot))
            except OSError:
                if not lengths:
                    raise
                break
            lengths.append(length)
            addresses.append(address)
        return _by_address(addresses, lengths, lengths)


class MultiTurnReader(TurnReader):
    """The same by one call a turn, and told apart where the kernel has joined several; on Linux."""

    joined = True

    def __init__(self, buffer: ReadBuffer, family: int, receive: Callable[..., int]) -> None:
        super().__init__(buffer)
        self._family = family
        self._receive = receive
        self._name_size = name_size = _NAME_SIZES[socket.AddressFamily(family)]
        self._names = bytearray(SLOTS * name_size)
        self._controls = bytearray(SLOTS * _CONTROL_ROOM)
        self._vectors = (_Vector * SLOTS)()
        self._messages = (_Message * SLOTS)()
        data, names, controls = map(_address_of, (buffer.received, self._names, self._controls))
        for slot, (vector, message) in enumerate(zip(self._vectors, self._messages, strict=True)):
            vector.base, vector.length = data + slot * SLOT, MAX_READ
            header = message.header
            header.name, header.name_length = names + slot * name_size, name_size
            header.vectors, header.vector_count = ctypes.pointer(vector), 1
            header.control, header.control_length = controls + slot * _CONTROL_ROOM, _CONTROL_ROOM
        self._raw = memoryview(self._messages).cast("B")
        self._fresh = bytes(self._raw)
        self._lengths = _every(self._messages, "I", _Message.length.offset)
        self._control_lengths = _every(self._messages, "N", _Message.header.offset + _Header.control_length.offset)
        self._last: tuple[bytes, SocketAddress] = b"", ("", 0)

    def read(self, opened: socket.socket, most: int) -> Turn:
        """See `TurnReader`."""
        self.overflowed = None
        self._raw[:] = self._fresh  # the kernel has written over the sizes of names and controls
        count = self._receive(opened.fileno(), self._messages, min(most, SLOTS), socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        lengths = self._lengths[:count].tolist()
        sizes = lengths
        if any(self._control_lengths[:count]):
            sizes = [self._size(slot, length) for slot, length in enumerate(lengths)]
        size, names = self._name_size, self._names
        name = bytes(names[:size])
        if names[: count * size] == name * count:
            return [(self._address(name), Reads(0, lengths, sizes))]
        addresses = [self._address(bytes(names[at : at + size])) for at in range(0, count * size, size)]
        return _by_address(addresses, lengths, sizes)

    def _size(self, slot: int, length: int) -> int:
        """Bytes of each datagram in the slot, by its control messages."""
        at, size = slot * _CONTROL_ROOM, length
        end = at + self._control_lengths[slot]
        while at + _CONTROL.size + _WORD.size <= end:
            taken, level, kind = _CONTROL.unpack_from(self._controls, at)
            (value,) = _WORD.unpack_from(self._controls, at + _CONTROL.size)
            if level == socket.IPPROTO_UDP and kind == UDP_GRO:
                size = value if 0 < value < length else length
            elif level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                self.overflowed = value
            at += max(socket.CMSG_SPACE(taken - _CONTROL.size), _CONTROL.size)
        return size

    def _address(self, name: bytes) -> SocketAddress:
        """What the socket module makes of a `struct sockaddr`."""
        known, address = self._last
        if name == known:
            return address
        if self._family == socket.AF_INET:
            port, host = _IPV4.unpack_from(name)
            address = socket.inet_ntop(socket.AF_INET, host), port
        else:
            port, flow, host = _IPV6.unpack_from(name)
            (scope,) = _SCOPE.unpack_from(name, _IPV6.size)
            address = socket.inet_ntop(socket.AF_INET6, host), port, flow, scope
        self._last = name, address
        return address


def _address_of(buffer: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def _every(messages: Any, code: str, offset: int) -> memoryview:
    """A view of one number of all messages, at `offset` in each; `code` as in `struct`."""
    size = struct.calcsize(code)
    whole: memoryview = memoryview(messages).cast("B").cast(code)  # type: ignore[call-overload]
    return whole[offset // size :: ctypes.sizeof(_Message) // size]


def _by_address(addresses: list[SocketAddress], lengths: list[int], sizes: list[int]) -> Turn:
    turn: Turn = []
    begin = 0
    for end in range(1, len(addresses) + 1):
        if end == len(addresses) or addresses[end] != addresses[begin]:
            turn.append((addresses[begin], Reads(begin, lengths[begin:end], sizes[begin:end])))
            begin = end
    return turn


_buffer: Final = ReadBuffer()
_readers: Final[dict[int, TurnReader]] = {}


def reader_of(family: int) -> TurnReader:
    """The process's reader for sockets of an address family. What it has read is good until any of them reads again."""
    reader = _readers.get(family)
    if reader is None:
        receive = _recvmmsg()
        reader = TurnReader(_buffer) if receive is None else MultiTurnReader(_buffer, family, receive)
        _readers[family] = reader
    return reader


def _recvmmsg() -> Callable[..., int] | None:
    """The C library's; None where there is none, or not Linux's."""
    if sys.platform != "linux":
        return None
    try:
        receive: Any = ctypes.CDLL(None, use_errno=True).recvmmsg
    except (OSError, AttributeError):
        return None
    receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
    receive.restype = ctypes.c_int
    receive(-1, None, 0, 0, None)
    if ctypes.get_errno() != errno.EBADF:  # an old kernel, or a sandbox that lets nobody call it
        return None
    found: Callable[..., int] = receive
    return found
