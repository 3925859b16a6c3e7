"""Steps of banks that can be undone, and done again: what each changed, before and after."""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from plugin_server.errors import BadFile, ClipsonicError, NothingToUndo
from plugin_server.studio.banks.text_folder import TextFolder
from plugin_server.untrusted_files import parse_json

log = logging.getLogger(__name__)

MAX_STEPS = 100
"""Steps that are kept; older ones are dropped."""
MAX_STEP_BYTES = 2**24
_UNDONE = "undone-"


@dataclass(frozen=True, slots=True)
class TextChange:
    """One text that a step has changed; None where there was or is none."""

    place: str
    """Name of the `TextFolder`."""
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class BankStep:
    """Something that was done to banks."""

    kind: str
    """The last part of the command's address, as 'delete'."""
    bank: str
    changes: tuple[TextChange, ...]

    @property
    def banks(self) -> tuple[str, ...]:
        """The names of all banks that it changed."""
        return tuple(dict.fromkeys(change.name for change in self.changes))


class BankHistory:
    """The newest steps, in files of a private folder, so that they outlast the process and other commands see them."""

    def __init__(self, places: Mapping[str, TextFolder], folder: Path | None) -> None:
        """`places` are the folders whose texts steps change; without `folder`, steps are kept in memory."""
        self._places = places
        self._steps = TextFolder(folder, suffix=".json", max_bytes=MAX_STEP_BYTES)

    def apply(self, kind: str, bank: str, after: Mapping[tuple[str, str], str | None]) -> BankStep:
        """Write texts, by place and name, and remember it as a step; what was undone can be redone no longer.

        Raises what reading and writing them raise; then nothing is remembered.
        """
        changes = [TextChange(place, name, self._read(place, name), text) for (place, name), text in after.items()]
        step = BankStep(kind, bank, tuple(change for change in changes if change.before != change.after))
        self._write(step, to_after=True)
        if step.changes:
            self._remember(step)
        return step

    def undo(self) -> BankStep:
        """Undo the newest step. Raises NothingToUndo, and what writing raises."""
        done = [name for name in self._steps.names() if not name.startswith(_UNDONE)]
        return self._revert(done[::-1], "there is nothing to undo", _UNDONE, to_after=False)

    def redo(self) -> BankStep:
        """Redo what was undone last. Raises NothingToUndo, and what writing raises."""
        undone = [name for name in self._steps.names() if name.startswith(_UNDONE)]
        return self._revert(undone, "there is nothing to redo", "", to_after=True)

    def _revert(self, names: list[str], nothing: str, prefix: str, *, to_after: bool) -> BankStep:
        for name in names:
            step = self._load(name)
            if step is None:
                continue
            self._write(step, to_after=to_after)
            self._steps.write(prefix + name.removeprefix(_UNDONE), self._steps.read(name))
            self._steps.write(name, None)
            return step
        raise NothingToUndo(nothing)

    def _remember(self, step: BankStep) -> None:
        """Keep a step; where that cannot be done, it is only not undone later."""
        try:
            names = self._steps.names()
            done = [name for name in names if not name.startswith(_UNDONE)]
            last = max((int(name) for name in done if name.isdecimal()), default=0)
            self._steps.write(f"{last + 1:08}", json.dumps(asdict(step), ensure_ascii=False))
            old = done[: max(0, len(done) + 1 - MAX_STEPS)]
            for name in [*old, *(name for name in names if name.startswith(_UNDONE))]:
                self._steps.write(name, None)
        except ClipsonicError as error:
            log.warning("this cannot be undone: %s", error)

    def _load(self, name: str) -> BankStep | None:
        """Return a step, or None for a file that holds none, which is taken away."""
        with suppress(ClipsonicError, ValueError, TypeError, KeyError, RecursionError):
            values = parse_json((self._steps.read(name) or "").encode("utf-8", "surrogateescape"))
            changes = tuple(TextChange(**change) for change in values["changes"])
            if all(change.place in self._places for change in changes):
                return BankStep(values["kind"], values["bank"], changes)
        with suppress(ClipsonicError):
            self._steps.write(name, None)
        return None

    def _write(self, step: BankStep, *, to_after: bool) -> None:
        """Write one side of all changes, or, when one cannot be written, none of them."""
        written: list[TextChange] = []
        try:
            for change in step.changes:
                place, text = self._places[change.place], change.after if to_after else change.before
                expected = change.before if to_after else change.after
                if self._read(change.place, change.name) not in (expected, text):
                    # Somebody has edited it since by hand.
                    place.set_aside(change.name)
                # What was renamed is not lost, and so is nothing for the trash.
                place.write(change.name, text, to_trash=step.kind != "rename")
                written.append(change)
        except ClipsonicError:
            for change in reversed(written):
                with suppress(ClipsonicError):
                    self._places[change.place].write(change.name, change.before if to_after else change.after)
            raise

    def _read(self, place: str, name: str) -> str | None:
        try:
            return self._places[place].read(name)
        except BadFile:
            # What cannot be read is replaced as what is not there.
            return None
