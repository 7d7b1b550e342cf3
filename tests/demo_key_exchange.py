"""Shows the key exchange of two ends step by step: `python3 tests/demo_key_exchange.py`. Prints no secret."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # from a checkout, wherever it is called from
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bittrrt import CommEncryptor, MsgFlags


def main() -> None:
    print("1. Each end makes a fresh key pair; the private half never leaves its CommEncryptor.")
    client, server = CommEncryptor(), CommEncryptor()
    print(f"   client's public key  {client.get_public_key().hex()}")
    print(f"   server's public key  {server.get_public_key().hex()}")

    print("2. They swap the public keys over an authentic channel (the rendezvous: TLS 1.3, pinned keys).")
    server.derive_shared_secret(client.get_public_key())
    client.derive_shared_secret(server.get_public_key())

    print("3. Both have derived the same keys, one a direction. Their session's name, which is no secret:")
    print(f"   at the client        {client.link_id.hex()}")
    print(f"   at the server        {server.link_id.hex()}")

    print("4. The client seals a heartbeat.")
    payload = b"client_ts3=1700000000000 echo=2"
    flags = (1 << MsgFlags.URGENT.value) | (1 << MsgFlags.HEARTBEAT.value)
    datagram = client.encrypt(payload, flags=flags, channel=1, sequence=100)
    print(f"   payload              {payload.decode()}  ({len(payload)} bytes)")
    print(f"   nonce                {datagram[:12].hex()}  (epoch, counter)")
    print(f"   sealed               {datagram[12:].hex()}")
    print(f"   datagram             {len(datagram)} bytes: 48 more")

    print("5. The server opens it.")
    opened_flags, channel, sequence, offset, plaintext = server.decrypt(datagram)
    names = [flag.name for flag in MsgFlags if opened_flags & (1 << flag.value)]
    print(f"   flags                {opened_flags} ({' '.join(names)})")
    print(f"   channel, sequence    {channel}, {sequence}")
    print(f"   offset               {offset}")
    print(f"   payload              {plaintext.decode()}")

    print("6. What was changed on the way, or comes from anybody else, is refused.")
    for what, bad in (
        ("one bit changed", datagram[:-1] + bytes([datagram[-1] ^ 1])),
        ("cut short", datagram[:40]),
        ("an epoch to come", b"\x00\x00\x00\x09" + datagram[4:]),
    ):
        try:
            server.decrypt(bad)
        except ValueError as error:
            print(f"   {what:<20} {type(error).__name__}: {error}")
    try:
        client.decrypt(datagram)
    except ValueError as error:
        print(f"   {'sent back to us':<20} {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
