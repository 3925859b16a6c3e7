"""One exception tree. Every class has a stable `code`, which clients receive with the sentence."""

import re

MEMORY_ADDRESS = re.compile(r" ?<[^<>]{1,80} at 0x[0-9a-fA-F]{1,20}>")
"""Python's name of an object that has none, as `<_io.BytesIO object at 0x7f12>`."""


def one_line(text: str, limit: int | None = None) -> str:
    """Return a text as one line of at most `limit` characters, fit for a terminal, a log and a reply.

    What would steer a terminal becomes a space, and objects that have no name but an address are left out.
    """
    if limit is not None and len(text) > limit:
        text = f"{text[: limit - 3]}..."
    line = text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)
    return MEMORY_ADDRESS.sub("", line) if " at 0x" in line else line


class ClipsonicError(Exception):
    """Base of everything that can be told to a user in one plain sentence."""

    code = "error"

    def __str__(self) -> str:
        """Return the sentence as one line: it may tell of what others wrote or sent, and is shown in terminals."""
        return one_line(super().__str__())


class BadArgument(ClipsonicError):
    """An argument is missing, has the wrong type or lies outside its range."""

    code = "bad_argument"


class BadPacket(ClipsonicError):
    """Bytes that are not an OSC packet."""

    code = "bad_packet"


class UnknownAddress(ClipsonicError):
    """An OSC address that no row of the table answers."""

    code = "unknown_address"


class UnknownJob(ClipsonicError):
    """No queued or running job has this id."""

    code = "unknown_job"


class DuplicateJob(ClipsonicError):
    """A queued or running job already has the id that a client chose."""

    code = "duplicate_job"


class QueueFull(ClipsonicError):
    """The queue holds as many jobs as it may."""

    code = "queue_full"


class Cancelled(ClipsonicError):
    """The job was cancelled before it was done."""

    code = "cancelled"


class UnknownModel(ClipsonicError):
    """No installed bundle has this name."""

    code = "unknown_model"


class BundleDamaged(ClipsonicError):
    """A bundle's card or files are not what they should be."""

    code = "bundle_damaged"


class EngineCrashed(ClipsonicError):
    """The engine process died in the middle of a job."""

    code = "engine_crashed"


class EngineFailed(ClipsonicError):
    """onnxruntime, or the model, refused to run."""

    code = "engine_failed"


class FolderNotWritable(ClipsonicError):
    """The sample folder cannot be made or written."""

    code = "folder_not_writable"


class PortTaken(ClipsonicError):
    """Another program listens on the port."""

    code = "port_taken"


class BadFile(ClipsonicError):
    """A file is missing, is not of the expected kind, or lacks what is needed."""

    code = "bad_file"


class NoRecipe(BadFile):
    """A file of sound that this program has not made, or that another one saved anew."""


class UnknownClip(ClipsonicError):
    """The library knows no such clip, or its file is no longer in the sample folder."""

    code = "unknown_clip"


class UnknownBank(ClipsonicError):
    """No prompt bank has this name."""

    code = "unknown_bank"


class NothingToUndo(ClipsonicError):
    """No step is left that could be undone, or done again."""

    code = "nothing_to_undo"


class TrashFailed(ClipsonicError):
    """The system did not take a file into its trash."""

    code = "trash_failed"


class LibraryFailed(ClipsonicError):
    """The library's index cannot be read or written."""

    code = "library_failed"


class DeviceUnavailable(ClipsonicError):
    """There is no such sound output, none at all, or no PortAudio library."""

    code = "device_unavailable"


class LinkUnavailable(ClipsonicError):
    """Ableton Link is not installed."""

    code = "link_unavailable"


class MidiUnavailable(ClipsonicError):
    """There is no such MIDI input, or no library that reads them."""

    code = "midi_unavailable"


class NoDaemon(ClipsonicError, TimeoutError):
    """No daemon answers a client. It is no reply, and so has no code of its own."""


class BadSettings(ClipsonicError):
    """The settings file or an environment variable cannot be understood."""

    code = "bad_settings"


def short_repr(value: object) -> str:
    """Return the repr of a value for a sentence, at most 60 characters of it, so that replies stay small."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # A whole number of thousands of digits, or what is nested as deeply.
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 62 else f"{text[:60]}..."


def unforeseen(error: BaseException) -> ClipsonicError:
    """Return the sentence for an error that no code expected, which is a fault of the program."""
    return ClipsonicError(f"something unforeseen went wrong: {error!r}")
