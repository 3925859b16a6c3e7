"""Packets whose strings are not UTF-8, as Latin-1 patches send them, made readable."""

SIZES = {"i": 4, "h": 8, "f": 4, "d": 8, "r": 4, "m": 4, "t": 8}
"""Bytes of an argument by its type tag; tags that are not here take none."""


def repair_strings(packet: bytes) -> bytes:
    """The packet with a question mark for every byte that makes a string no UTF-8; its length stays.

    Only the address, the type tags and string arguments are touched, never the bytes of numbers and blobs. What
    cannot be followed stays as it is: the parser has the last word.
    """
    repaired = bytearray(packet)
    _repair(repaired, 0, len(repaired))
    return bytes(repaired)


def _repair(packet: bytearray, start: int, end: int) -> None:
    if packet.startswith(b"#bundle\0", start):
        # Elements follow the mark and the time tag of 8 bytes each.
        place = start + 16
        while place + 4 <= end:
            size = int.from_bytes(packet[place : place + 4], "big")
            _repair(packet, place + 4, min(place + 4 + size, end))
            place += 4 + size
    else:
        _repair_message(packet, start, end)


def _repair_message(packet: bytearray, start: int, end: int) -> None:
    tags = _repair_string(packet, start, end)
    place = _repair_string(packet, tags, end)
    for tag in packet[tags:place].decode("utf-8", "replace"):
        if tag == "s":
            place = _repair_string(packet, place, end)
        elif tag == "b":
            size = int.from_bytes(packet[place : place + 4], "big")
            place += 4 + size + -size % 4
        else:
            place += SIZES.get(tag, 0)


def _repair_string(packet: bytearray, start: int, end: int) -> int:
    """Repair the string that begins at `start`; where the next item begins, padding passed over."""
    stop = packet.find(b"\0", start, end)
    if stop < 0:
        return end
    # Surrogates stand for single bytes, and so does each question mark that replaces one.
    packet[start:stop] = packet[start:stop].decode("utf-8", "surrogateescape").encode("utf-8", "replace")
    return start + (stop - start) // 4 * 4 + 4
