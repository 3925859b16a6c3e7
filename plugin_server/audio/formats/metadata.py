"""The metadata of a clip's file, for hosts and people."""

import re
from dataclasses import dataclass

from plugin_server.errors import BadArgument, short_repr

BEATS_PER_BAR = 4
"""Quarter notes in a bar: the metre is always 4/4."""
PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
"""Semitones that a sign adds."""
MIDDLE_C = 60
"""MIDI note."""


@dataclass(frozen=True, slots=True)
class ClipMetadata:
    """The texts and numbers of chunks and comments; what is empty or None is left out."""

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
    """Model, seed and the like that made it."""
    loop: bool = False
    """Whether the whole file is a loop."""
    bpm: float | None = None
    bars: float | None = None
    """Of four beats."""
    key: str = ""
    """A key as `read_key` returns it."""

    @property
    def beats(self) -> int | None:
        """The whole beats of a clip of bars; None where the last is incomplete or nothing is known of bars."""
        beats = None if self.bars is None else self.bars * BEATS_PER_BAR
        return int(beats) if beats is not None and beats == int(beats) and beats >= 1 else None

    @property
    def root_note(self) -> int | None:
        """The MIDI note of the key's root, from F# below middle C to F above it; None without a key."""
        return note_of(self.key) if self.key else None


def read_key(text: str) -> str:
    """Parse a key: 'F# minor' of 'f#m', 'F♯ min' or 'F# minor'; 'C major' of 'C'. Raises BadArgument."""
    # Without the runs of spaces, two of which would be matched in every way there is.
    match = re.fullmatch(r"([A-Ga-g])([#♯b♭]?) ?(maj|major|M|min|minor|m)?", " ".join(text.split()))
    if not match:
        raise BadArgument(f"key: got {short_repr(text)}, expected a note and perhaps minor, as in F# minor, Ebm or C")
    sign = {"♯": "#", "♭": "b"}.get(match[2], match[2])
    mode = "minor" if match[3] in ("min", "minor", "m") else "major"
    return f"{match[1].upper()}{sign} {mode}"


def short_key(key: str) -> str:
    """Return a key as file names have it: 'F#min', 'Cmaj'."""
    note, mode = key.split()
    return f"{note}{mode[:3]}"


def note_of(key: str) -> int:
    """Return the MIDI note of a key's root, the one nearest to middle C."""
    pitch_class = (PITCH_CLASSES[key[0]] + ACCIDENTALS[key[1:2].strip()]) % 12
    return MIDDLE_C + pitch_class - (12 if pitch_class > 5 else 0)
