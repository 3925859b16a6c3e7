"""OSC packets as bytes: every type of OSC 1.0 is read, and the three that every client reads are written."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from plugin_server.errors import BadArgument, BadPacket, short_repr

MAX_PACKET = 65_536
"""Bytes of a packet."""
MAX_MESSAGES = 1024
"""Messages of a packet."""
MAX_ARGUMENTS = 1024
"""Arguments of a message, those within arrays included."""
MAX_DEPTH = 8
"""Bundles within bundles, and arrays within arrays."""
BUNDLE_MARK = b"#bundle\0"
BUNDLE_HEADER = 16
"""Bytes before the first element of a bundle: the mark and the time tag of 8 bytes each."""
IMMEDIATELY = 1
"""The time tag of what is to be done at once."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A value that no argument takes: a colour, a MIDI message or a time tag."""

    kind: str
    """What it is, in the words of a sentence."""


Atom = str | int | float | bytes | bool | None | Foreign | list["Atom"]
"""What an OSC argument can be; None for nil and for an impulse."""


@dataclass(frozen=True, slots=True)
class Message:
    """One OSC message: an address and its arguments."""

    address: str
    arguments: tuple[Atom, ...]
    time_tag: int = IMMEDIATELY
    """When it is to be done, the latest of the bundles around it: 1/2**32 s since 1900, or IMMEDIATELY."""


class _NotOsc(Exception):
    """Says in a few words why bytes are no OSC."""


def decode_packet(packet: bytes) -> list[Message]:
    """Return the messages of a packet, those of bundles in order. Raises BadPacket.

    A packet is read whole or refused whole. Bytes of strings that are not UTF-8 become question marks: Latin-1 patches
    send such strings.
    """
    return list(read_messages(packet))


def read_messages(packet: bytes) -> Iterator[Message]:
    """Yield the messages of a packet, of which none counts when the iterator raises BadPacket in the end."""
    try:
        if len(packet) > MAX_PACKET:
            raise _NotOsc(f"a packet has at most {MAX_PACKET} bytes")
        yield from _read_element(packet, IMMEDIATELY, 0)
    except _NotOsc as error:
        raise BadPacket(f"packet: got {len(packet)} bytes that are not OSC ({error}), expected a message") from error


def encode_message(address: str, *arguments: str | int | float) -> bytes:
    """Return a message as bytes. Raises BadArgument for a number that 32 bits do not hold, and for other types.

    It has only int32, float32 and string: what Max, Pure Data and SuperCollider all read.
    """
    tags, data = [","], []
    for argument in arguments:
        tag, value = _encode(argument)
        tags.append(tag)
        data.append(value)
    return b"".join((_padded(address), _padded("".join(tags)), *data))


def address_of(packet: bytes) -> str:
    """Return the address of a message that `encode_message` made."""
    return packet.split(b"\0", 1)[0].decode()


def _encode(argument: str | int | float) -> tuple[str, bytes]:
    try:
        if isinstance(argument, str):
            return "s", _padded(argument)
        if isinstance(argument, int):
            return "i", struct.pack(">i", argument)
        if isinstance(argument, float):
            return "f", struct.pack(">f", argument)
    except (OverflowError, struct.error) as error:
        raise BadArgument(f"argument: got {short_repr(argument)}, expected a number that 32 bits hold") from error
    raise BadArgument(f"argument: got {short_repr(argument)}, expected text, an int or a float")


def _padded(text: str) -> bytes:
    # A NUL would end the string early, and what follows it would be read as arguments. File names may hold bytes
    # that are no text.
    data = text.replace("\0", "").encode("utf-8", "replace")
    return data + bytes(4 - len(data) % 4)


def _read_element(data: bytes, time_tag: int, depth: int) -> Iterator[Message]:
    """Yield the messages of a message or a bundle, each due at `time_tag` at the earliest."""
    if data.startswith(BUNDLE_MARK):
        if depth >= MAX_DEPTH:
            raise _NotOsc(f"bundles are nested more than {MAX_DEPTH} deep")
        for count, message in enumerate(_read_bundle(data, time_tag, depth), 1):
            if count > MAX_MESSAGES:
                raise _NotOsc(f"a packet has at most {MAX_MESSAGES} messages")
            yield message
    elif data.startswith(b"/"):
        yield _read_message(data, time_tag)
    else:
        raise _NotOsc(f"{'an element of the bundle' if depth else 'it'} begins with neither / nor #bundle")


def _read_bundle(data: bytes, time_tag: int, depth: int) -> Iterator[Message]:
    if len(data) < BUNDLE_HEADER:
        raise _NotOsc("a bundle ends within its time tag")
    time_tag = max(time_tag, int.from_bytes(data[8:BUNDLE_HEADER], "big"))
    offset = BUNDLE_HEADER
    while offset < len(data):
        start = offset + 4
        # Read as unsigned, a negative size is one that no packet has.
        offset = start + int.from_bytes(data[offset:start], "big")
        if offset > len(data):
            raise _NotOsc("an element of a bundle ends after the bundle")
        yield from _read_element(data[start:offset], time_tag, depth + 1)


def _read_message(data: bytes, time_tag: int) -> Message:
    reader = _Reader(data)
    address = reader.string()
    # Old senders leave out the type tags of a message without arguments.
    tags = reader.string() if reader.offset < len(data) else ","
    if not tags.startswith(","):
        raise _NotOsc("the type tags do not begin with a comma")
    arguments = reader.arguments(tags)
    if reader.offset != len(data):
        raise _NotOsc(f"{len(data) - reader.offset} bytes are left over after the arguments")
    return Message(address, arguments, time_tag)


class _Reader:
    """Reads the items of one message, from its first byte on."""

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise _NotOsc("the length is no multiple of 4")
        self._data = data
        self.offset = 0

    def string(self) -> str:
        """Read a string and its padding."""
        start, stop = self.offset, self._data.find(b"\0", self.offset)
        if stop < 0:
            raise _NotOsc("a string has no end")
        text = self._data[start:stop]
        self._skip_padding(stop)
        try:
            return text.decode()
        except UnicodeDecodeError:
            # Surrogates stand for single bytes, and so does each question mark that replaces one.
            return text.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()

    def arguments(self, tags: str) -> tuple[Atom, ...]:
        """Read the arguments that the type tags tell of; unknown ones are refused before anything is read."""
        if len(tags) - 1 > MAX_ARGUMENTS:
            raise _NotOsc(f"a message has at most {MAX_ARGUMENTS} arguments")
        if unknown := set(tags[1:]) - KNOWN_TAGS:
            raise _NotOsc(f"the type tag {min(unknown)!r} is unknown")
        arrays: list[list[Atom]] = [[]]
        for tag in tags[1:]:
            if tag == "[":
                if len(arrays) > MAX_DEPTH:
                    raise _NotOsc(f"arrays are nested more than {MAX_DEPTH} deep")
                arrays.append([])
            elif tag == "]":
                if len(arrays) == 1:
                    raise _NotOsc("an array ends that did not begin")
                array = arrays.pop()
                arrays[-1].append(array)
            else:
                arrays[-1].append(self._argument(tag))
        if len(arrays) > 1:
            raise _NotOsc("an array has no end")
        return tuple(arrays[0])

    def _argument(self, tag: str) -> Atom:
        if tag in CONSTANTS:
            return CONSTANTS[tag]
        if tag in "sS":
            return self.string()
        if tag == "b":
            return self._blob()
        if tag in FOREIGN:
            kind, size = FOREIGN[tag]
            self._take(size)
            return Foreign(kind)
        return self._number(tag)

    def _number(self, tag: str) -> int | float | str:
        layout = NUMBERS[tag]
        number: int | float = struct.unpack(layout, self._take(struct.calcsize(layout)))[0]
        if tag != "c":
            return number
        if not 0 < number < 128:
            raise _NotOsc("a character is not ASCII")
        return chr(int(number))

    def _blob(self) -> bytes:
        size = int.from_bytes(self._take(4), "big")
        blob = self._take(size)
        if size % 4:
            self._skip_padding(self.offset)
        return blob

    def _take(self, size: int) -> bytes:
        item = self._data[self.offset : self.offset + size]
        if len(item) < size:
            raise _NotOsc("it ends within its arguments")
        self.offset += size
        return item

    def _skip_padding(self, stop: int) -> None:
        """Go on after the NULs from `stop` to the next multiple of 4; a string has at least one."""
        self.offset = stop + 4 - stop % 4
        if any(self._data[stop : self.offset]):
            raise _NotOsc("the padding is not NUL")


CONSTANTS: dict[str, bool | None] = {"T": True, "F": False, "N": None, "I": None}
"""Arguments that are their type tag alone."""
NUMBERS = {"i": ">i", "h": ">q", "f": ">f", "d": ">d", "c": ">i"}
FOREIGN = {"r": ("a colour", 4), "m": ("a MIDI message", 4), "t": ("a time tag", 8)}
KNOWN_TAGS = frozenset((*CONSTANTS, *NUMBERS, *FOREIGN, *"sSb[]"))
