"""Whatever may happen to a run, as the daemon sees it: replies of the engine, and the end of its process."""

from dataclasses import dataclass

from plugin_server.engine.messages import RunReply
from plugin_server.errors import (
    BadFile,
    BundleDamaged,
    Cancelled,
    ClipsonicError,
    EngineCrashed,
    EngineFailed,
    UnknownModel,
)

ERRORS = {error.code: error for error in (BadFile, BundleDamaged, Cancelled, EngineFailed, UnknownModel)}
"""By code, the errors that an engine replies with; any other is an EngineFailed."""


@dataclass(frozen=True, slots=True)
class EngineDied:
    """The process ended by itself."""

    message: str


@dataclass(frozen=True, slots=True)
class EngineStopped:
    """The daemon ended the process."""


Event = RunReply | EngineDied | EngineStopped


class DiedIdle(EngineCrashed):
    """The process died before it had replied anything to the run."""


def error_of(code: str, message: str) -> ClipsonicError:
    """Return the error that a reply describes."""
    return ERRORS.get(code, EngineFailed)(message)
