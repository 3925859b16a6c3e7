"""Clips that were made while the index could not be written, as on a full disk: known until it can."""

import threading
from collections.abc import Callable
from pathlib import Path

from plugin_server.errors import LibraryFailed
from plugin_server.studio.library.lookup import is_last, relative_path
from plugin_server.studio.library.records import ClipFile, ClipRecord, ClipState, name_of

MAX_CLIPS = 1000


def require_entered(record: ClipRecord) -> None:
    """Raise LibraryFailed for a clip of `UnenteredClips`, which can be played but not changed."""
    if not record.number:
        raise LibraryFailed(f"{record.path.name} is not in the library's index yet, which cannot be written")


class UnenteredClips:
    """The clips that still have to be entered, in the order in which they were made; from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clips: list[tuple[ClipFile, str]] = []
        self._lock = threading.Lock()

    def add(self, file: ClipFile, request: str) -> None:
        """Remember a clip of a request; of too many the oldest are left to the next scan."""
        with self._lock:
            self._clips = [*self._clips, (file, request)][-MAX_CLIPS:]

    def enter(self, enter: Callable[[ClipFile, str], None]) -> None:
        """Have all of them entered that can be by now; `enter` raises LibraryFailed for one that cannot."""
        with self._lock:
            while self._clips:
                try:
                    enter(*self._clips[0])
                except LibraryFailed:
                    return
                del self._clips[0]

    def drop(self, path: Path) -> None:
        """Forget a clip that was cancelled."""
        with self._lock:
            self._clips = [clip for clip in self._clips if self._folder / clip[0].relative_path != path]

    def find(self, clip: str) -> ClipRecord | None:
        """Return the clip of 'last', an id, a name or a path, the one that was made last; None when it is another."""
        path = relative_path(self._folder, Path(clip))
        for file, _ in reversed(self._clips):
            if is_last(clip) or clip.lower() == file.id or path == file.relative_path or name_of(path) == file.name:
                path_now = self._folder / file.relative_path
                return ClipRecord(0, path_now, file, tags="", is_starred=False, state=ClipState.PRESENT, undo_token="")
        return None
