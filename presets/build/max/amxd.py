"""Max for Live's container: little-endian chunks around a patch, or around a patch and the files it needs, frozen."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

AUDIO_EFFECT = b"aaaa"
FROZEN = 7
"""The `meta` number of devices that Max has frozen; of others it is 1."""
UNFROZEN = 1
DEVICE_FLAG = 0x11
MARK = b"mx@c"
HEADER = 16
KINDS = {".js": b"TEXT", ".maxpat": b"JSON", ".amxd": b"JSON"}
DATE = 0xE0000000
"""Date of every frozen file, in seconds since 1904: January 2023, always, so that equal sources give equal bytes."""


class Frozen(NamedTuple):
    """A file inside a frozen device."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Device:
    """The content of an .amxd. The first file is the device's own patch."""

    kind: bytes
    meta: int
    files: tuple[Frozen, ...]


def write_device(device: Device) -> bytes:
    """Return the bytes of a frozen .amxd."""
    payload = _freeze(device.files)
    return _chunk(b"ampf", device.kind) + _chunk(b"meta", struct.pack("<I", device.meta)) + _chunk(b"ptch", payload)


def write_unfrozen(kind: bytes, patch: bytes) -> bytes:
    """Return the bytes of an .amxd whose files lie beside it, as Max saves one that is being edited."""
    return _chunk(b"ampf", kind) + _chunk(b"meta", struct.pack("<I", UNFROZEN)) + _chunk(b"ptch", patch)


def _chunk(tag: bytes, data: bytes) -> bytes:
    return tag + struct.pack("<I", len(data)) + data


def _freeze(files: tuple[Frozen, ...]) -> bytes:
    """Return a header, the files one after another, then a directory.

    Numbers inside are big-endian, sizes count headers.
    """
    body, entries = b"", b""
    for index, file in enumerate(files):
        entries += _entry(file, HEADER + len(body), DEVICE_FLAG if index == 0 else 0)
        body += file.content
    header = MARK + struct.pack(">IQ", HEADER, HEADER + len(body))
    return header + body + _field(b"dlst", entries)


def _entry(file: Frozen, offset: int, flag: int) -> bytes:
    name = file.name.encode("ascii")
    padded = name + b"\0" * (4 - len(name) % 4)
    kind = KINDS[file.name[file.name.rindex(".") :]]
    numbers = (b"sz32", len(file.content)), (b"of32", offset), (b"vers", 0), (b"flag", flag), (b"mdat", DATE)
    fields = _field(b"type", kind) + _field(b"fnam", padded)
    fields += b"".join(_field(tag, struct.pack(">I", number)) for tag, number in numbers)
    return _field(b"dire", fields)


def _field(tag: bytes, data: bytes) -> bytes:
    return tag + struct.pack(">I", len(data) + 8) + data


def read_device(content: bytes) -> Device:
    """Return the content of a frozen .amxd. Raises ValueError when it is none."""
    chunks = dict(_chunks(content))
    if list(chunks) != [b"ampf", b"meta", b"ptch"] or not chunks[b"ptch"].startswith(MARK):
        raise ValueError(f"device: got the chunks {list(chunks)}, expected ampf, meta and a frozen ptch")
    payload = chunks[b"ptch"]
    (end,) = struct.unpack(">Q", payload[8:HEADER])
    files = []
    for _, entry in _fields(payload[end + 8 :]):
        fields = dict(_fields(entry))
        size, offset = (struct.unpack(">I", fields[tag])[0] for tag in (b"sz32", b"of32"))
        files.append(Frozen(fields[b"fnam"].rstrip(b"\0").decode("ascii"), payload[offset : offset + size]))
    return Device(chunks[b"ampf"], struct.unpack("<I", chunks[b"meta"])[0], tuple(files))


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    chunks, offset = [], 0
    while offset < len(content):
        (size,) = struct.unpack("<I", content[offset + 4 : offset + 8])
        chunks.append((content[offset : offset + 4], content[offset + 8 : offset + 8 + size]))
        offset += 8 + size
    return chunks


def _fields(data: bytes) -> list[tuple[bytes, bytes]]:
    fields, offset = [], 0
    while offset < len(data):
        (size,) = struct.unpack(">I", data[offset + 4 : offset + 8])
        fields.append((data[offset : offset + 4], data[offset + 8 : offset + size]))
        offset += size
    return fields
