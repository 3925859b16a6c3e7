"""Find, list and verify bundles: folders that hold a card, its graphs and its tokenizer."""

import hashlib
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plugin_server.audio.names import same_name
from plugin_server.engine.bundles.card import CARD_NAME, Card
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.errors import BadFile, BundleDamaged, UnknownModel, short_repr
from plugin_server.untrusted_files import open_file

log = logging.getLogger(__name__)


FileStamp = tuple[int, int, int]
"""What changes when a file does, or who may read it: two times in nanoseconds, size in bytes."""
MISSING_FILE: FileStamp = (0, 0, 0)
KNOWN_S = 1.0
"""Seconds after which the folders are looked at again for who must not wait for that."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model on disk: a folder and what its card says."""

    folder: Path
    card: Card

    def path(self, graph: str) -> Path:
        """Return the file of one graph. Raises BundleDamaged when the card does not list it."""
        if graph not in self.card.graphs:
            raise BundleDamaged(f"{self.folder / CARD_NAME} lists no graph {graph!r}")
        return self.folder / self.card.graphs[graph].file

    def checksum(self) -> str:
        """Return sixteen hexadecimal digits that stand for all files: what a recipe names the model by."""
        lines = "".join(f"{name} {digest}\n" for name, digest in sorted(self.card.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


class BundleRegistry:
    """The bundles of some folders. A card is read again only when its file changed.

    Any thread may ask; two that ask at once read a card twice at worst.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        """Search `folders` in this order: of two bundles with one name, that in the earlier folder counts."""
        self.folders = tuple(folders)
        self._cache: dict[Path, tuple[FileStamp, Bundle]] = {}
        self._damaged: dict[Path, tuple[FileStamp, str]] = {}
        """Why a card could not be read. Not the error itself: it would keep the frames that it came through, and they
        the error before it."""
        self._known: dict[str, Bundle] = {}
        self._known_at = -KNOWN_S
        self._refreshing = threading.Lock()

    def bundles(self) -> dict[str, Bundle]:
        """Return name to bundle; the first of two with one name wins, and a damaged one is left out with a warning."""
        found: dict[str, Bundle] = {}
        for folder in self._bundle_folders():
            bundle = self._open_or_warn(folder)
            if bundle:
                found.setdefault(bundle.card.name, bundle)
        self._known, self._known_at = found, time.monotonic()
        return found

    def known(self) -> dict[str, Bundle]:
        """Return what `bundles` returned last, at once, and have it look again when that was a while ago.

        For the event loop, which must not list folders or read cards.
        """
        known = self._known
        if time.monotonic() - self._known_at > KNOWN_S and self._refreshing.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="bundles", daemon=True).start()
        return known

    def _refresh(self) -> None:
        try:
            self.bundles()
        finally:
            self._refreshing.release()

    def find(self, name: str) -> Bundle:
        """Return the bundle called `name`, in upper or lower case.

        Raises:
            UnknownModel: there is none; the sentence lists the names there are.
            BundleDamaged: its card is bad.
        """
        cached = self._find_cached(name)
        if cached:
            return cached
        for folder in self._bundle_folders():
            # A damaged bundle of this very name must say so, and not let another one of the name step in.
            if folder.name == name:
                return self._open(folder)
        bundles = self.bundles()
        known = same_name(name, bundles)
        if known:
            return bundles[known]
        names = ", ".join(sorted(bundles)) or "(none installed)"
        raise UnknownModel(f"model: got {short_repr(name)}, expected one of {names}")

    def _find_cached(self, name: str) -> Bundle | None:
        """Return a bundle that was read before by one `stat` a folder, None where only a search can tell.

        The event loop asks with every request: it must not list folders or read cards for that.
        """
        if not any(folder.name == name for folder in self._cache.copy()):
            return None
        for folder in self.folders:
            stamp = _file_stamp(folder / name / CARD_NAME)
            if stamp != MISSING_FILE:
                cached = self._cache.get(folder / name)
                return cached[1] if cached and cached[0] == stamp else None
        return None

    def _bundle_folders(self) -> list[Path]:
        """Return the folders that hold a card; hidden ones are bundles that are being installed or removed."""
        cards = [card for folder in self.folders for card in sorted(folder.glob(f"*/{CARD_NAME}"))]
        return [card.parent for card in cards if not card.parent.name.startswith(".")]

    def _open(self, folder: Path) -> Bundle:
        stamp = _file_stamp(folder / CARD_NAME)
        cached = self._cache.get(folder)
        if cached is None or cached[0] != stamp:
            damaged = self._damaged.get(folder)
            if damaged and damaged[0] == stamp:
                raise BundleDamaged(damaged[1])
            try:
                cached = self._cache[folder] = stamp, open_bundle(folder)
            except BundleDamaged as error:
                self._damaged[folder] = stamp, str(error)
                raise
        return cached[1]

    def _open_or_warn(self, folder: Path) -> Bundle | None:
        is_new = folder not in self._damaged or self._damaged[folder][0] != _file_stamp(folder / CARD_NAME)
        try:
            return self._open(folder)
        except BundleDamaged as error:
            if is_new:
                log.warning("%s", error)
            return None


def open_bundle(folder: Path) -> Bundle:
    """Return the bundle in a folder. Raises BundleDamaged, also when folder and card differ about its name."""
    card = read_card(folder)
    if card.name != folder.name:
        raise BundleDamaged(f"{folder / CARD_NAME}: name is {card.name!r}; its folder must have that name too")
    return Bundle(folder, card)


def _file_stamp(path: Path) -> FileStamp:
    try:
        status = path.stat()
    except OSError:
        return MISSING_FILE
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size


def verify_bundle(bundle: Bundle) -> None:
    """Compare every file with its checksum. Raises BundleDamaged naming the first that is missing or differs."""
    for name, digest in bundle.card.files.items():
        path = bundle.folder / name
        try:
            found = file_sha256(path)
        except BadFile as error:
            raise BundleDamaged(str(error)) from error
        if found != digest:
            raise BundleDamaged(f"{path} has sha256 {found[:12]}..., the card says {digest[:12]}...; install it again")


def file_sha256(path: Path) -> str:
    """Return the checksum of a file's bytes as hexadecimal digits. Raises BadFile that names it."""
    with open_file(path) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BadFile(f"{path} cannot be read: {error.strerror}") from error
