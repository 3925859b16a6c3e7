"""What a clip's file says of itself to hosts and people."""

import re
from dataclasses import dataclass

from plugin_server.errors import BadArgument, shown

BEATS_PER_BAR = 4
"""Bars are of four quarters."""
NOTES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SIGNS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
MIDDLE_C = 60


@dataclass(frozen=True, slots=True)
class ClipMetadata:
    """What chunks and comments are made of; what is empty or None is left out."""

    title: str = ""
    artist: str = ""
    comment: str = ""
    software: str = ""
    date: str = ""
    """YYYY-MM-DD"""
    time: str = ""
    """HH:MM:SS"""
    reference: str = ""
    """The clip's id."""
    history: str = ""
    """How it was made: model, seed and the like."""
    loop: bool = False
    """The whole file is one."""
    bpm: float | None = None
    bars: float | None = None
    """Of four beats."""
    key: str = ""
    """As `read_key` gives it."""

    @property
    def beats(self) -> int | None:
        """Whole beats of a clip of bars; None where a beat is broken or nothing is known of bars."""
        beats = None if self.bars is None else self.bars * BEATS_PER_BAR
        return int(beats) if beats is not None and beats == int(beats) and beats >= 1 else None

    @property
    def root_note(self) -> int | None:
        """MIDI note of the key's root, from F# below middle C to F above it."""
        return note_of(self.key) if self.key else None


def read_key(text: str) -> str:
    """'F# minor' of 'f#m', 'F♯ min' or 'F# minor'; 'C major' of 'C'. Raises BadArgument."""
    found = re.fullmatch(r"\s*([A-Ga-g])([#♯b♭]?)\s*(maj|major|M|min|minor|m)?\s*", text)
    if not found:
        raise BadArgument(f"key: got {shown(text)}, expected a note and perhaps minor, as in F# minor, Ebm or C")
    sign = {"♯": "#", "♭": "b"}.get(found[2], found[2])
    mode = "minor" if found[3] in ("min", "minor", "m") else "major"
    return f"{found[1].upper()}{sign} {mode}"


def short_key(key: str) -> str:
    """As file names carry it: 'F#min', 'Cmaj'."""
    note, mode = key.split()
    return f"{note}{mode[:3]}"


def note_of(key: str) -> int:
    """MIDI note of a key's root, the one nearest to middle C."""
    place = (NOTES[key[0]] + SIGNS[key[1:2].strip()]) % 12
    return MIDDLE_C + place - (12 if place > 5 else 0)
