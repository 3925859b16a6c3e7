"""Find, list and verify bundles: folders that hold a card, its graphs and its tokenizer."""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plugin_server.engine.bundles.card import CARD_NAME, Card, read_card
from plugin_server.errors import BundleDamaged, UnknownModel, shown

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model on disk."""

    folder: Path
    card: Card

    def path(self, graph: str) -> Path:
        """File of one graph. Raises BundleDamaged when the card does not list it."""
        if graph not in self.card.graphs:
            raise BundleDamaged(f"{self.folder / CARD_NAME} lists no graph {graph!r}")
        return self.folder / self.card.graphs[graph].file

    def checksum(self) -> str:
        """Sixteen hexadecimal digits that stand for all files: what a recipe names the model by."""
        lines = "".join(f"{name} {digest}\n" for name, digest in sorted(self.card.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


class BundleRegistry:
    """The bundles of some folders. A card is read again only when its file changed."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = tuple(folders)
        self._read: dict[Path, tuple[tuple[int, int], Bundle | None]] = {}

    def bundles(self) -> dict[str, Bundle]:
        """Name to bundle; the first of two with one name wins, and a damaged one is left out with a warning."""
        found: dict[str, Bundle] = {}
        for place in _places(self.folders):
            bundle = self._open(place)
            if bundle:
                found.setdefault(bundle.card.name, bundle)
        return found

    def _open(self, place: Path) -> Bundle | None:
        stamp = _stamp(place / CARD_NAME)
        if place not in self._read or self._read[place][0] != stamp:
            self._read[place] = stamp, _open_or_warn(place)
        return self._read[place][1]


def list_bundles(folders: Iterable[Path]) -> dict[str, Bundle]:
    """Name to bundle, as a `BundleRegistry` gives them."""
    return BundleRegistry(folders).bundles()


def find_bundle(folders: Iterable[Path], name: str) -> Bundle:
    """The bundle called `name`. Raises UnknownModel with the names there are, or BundleDamaged when its card is bad."""
    folders = tuple(folders)
    for place in _places(folders):
        # A damaged bundle of this very name must say so, and not let another one of the name step in.
        if place.name == name:
            return open_bundle(place)
    found = ", ".join(sorted(list_bundles(folders))) or "(none installed)"
    raise UnknownModel(f"model: got {shown(name)}, expected one of {found}")


def open_bundle(place: Path) -> Bundle:
    """The bundle in a folder. Raises BundleDamaged, also when folder and card differ about its name."""
    card = read_card(place)
    if card.name != place.name:
        raise BundleDamaged(f"{place / CARD_NAME}: name is {card.name!r}; its folder must have that name too")
    return Bundle(place, card)


def _open_or_warn(place: Path) -> Bundle | None:
    try:
        return open_bundle(place)
    except BundleDamaged as error:
        log.warning("%s", error)
        return None


def _places(folders: Iterable[Path]) -> list[Path]:
    """Folders that hold a card; hidden ones are bundles that are being installed or removed."""
    cards = [card for folder in folders for card in sorted(folder.glob(f"*/{CARD_NAME}"))]
    return [card.parent for card in cards if not card.parent.name.startswith(".")]


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file does: time in nanoseconds, size in bytes."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return status.st_mtime_ns, status.st_size


def verify_bundle(bundle: Bundle) -> None:
    """Compare every file with its checksum. Raises BundleDamaged naming the first that is missing or differs."""
    for name, digest in bundle.card.files.items():
        path = bundle.folder / name
        try:
            found = file_sha256(path)
        except OSError as error:
            raise BundleDamaged(f"{path} cannot be read: {error.strerror}") from error
        if found != digest:
            raise BundleDamaged(f"{path} has sha256 {found[:12]}..., the card says {digest[:12]}...; install it again")


def file_sha256(path: Path) -> str:
    """Checksum of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
