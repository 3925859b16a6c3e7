"""Install bundles into the user's folder of bundles and remove them: whole or not at all."""

import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from plugin_server.engine.bundles.card import CARD_NAME, Card
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import Bundle, open_bundle
from plugin_server.errors import BadArgument, BadFile, BundleDamaged, FolderNotWritable, UnknownModel, short_repr
from plugin_server.private_files import make_private_folder

Files = Mapping[str, Callable[[], IO[bytes]]]
"""Names without folders, and how each file is opened."""
CHUNK_BYTES = 1 << 20
DOCUMENTS = (".md", ".txt")
"""Files beside those of the card that are worth keeping: the model's card, licences, attributions."""


def install_bundle(source: Path, home: Path) -> Bundle:
    """Copy the bundle in `source`, a folder or a zip file, into the folder `home`; one of its name is replaced.

    Nothing lands before the card and every checksum were looked at. Raises BadFile when `source` is neither,
    BundleDamaged when the bundle is not what its card says, FolderNotWritable.
    """
    with _opened(source) as files, staging(home) as stage:
        fresh = stage / "fresh"
        fresh.mkdir()
        card = _stage_card(source, files, fresh)
        for name, digest in card.files.items():
            found = _copy(source, files, name, fresh)
            if found != digest:
                raise BundleDamaged(f"{source}: {name} has sha256 {found[:12]}..., the card says {digest[:12]}...")
        for name in files:
            if name.lower().endswith(DOCUMENTS) and name not in card.files:
                _copy(source, files, name, fresh)
        _replace(home / card.name, fresh, stage / "old")
    return open_bundle(home / card.name)


def remove_bundle(name: str, home: Path, shipped: Iterable[Path]) -> None:
    """Delete the bundle `name` from the folder `home`.

    Raises BadArgument for one that came with the program and lies in a folder of `shipped`, UnknownModel,
    FolderNotWritable.
    """
    if not _is_bundle(home, name):
        if any(_is_bundle(folder, name) for folder in shipped):
            raise BadArgument(f"model: got {short_repr(name)}, which came with the program and cannot be removed")
        raise UnknownModel(f"model: got {short_repr(name)}, expected the name of a bundle in {home}")
    with staging(home) as stage:
        (home / name).rename(stage / "old")


def _is_bundle(folder: Path, name: str) -> bool:
    # A name must not lead out of the folder.
    return PurePosixPath(name).name == Path(name).name == name and (folder / name / CARD_NAME).is_file()


@contextmanager
def staging(home: Path) -> Iterator[Path]:
    """Make a hidden folder in `home`, on the same disk, so that its content is installed by a rename.

    Raises FolderNotWritable.
    """
    try:
        make_private_folder(home)
        with tempfile.TemporaryDirectory(prefix=".clipsonic-", dir=home, ignore_cleanup_errors=True) as stage:
            yield Path(stage)
    except OSError as error:
        raise FolderNotWritable(f"the folder of bundles {home} cannot be changed: {error}") from error


@contextmanager
def _opened(source: Path) -> Iterator[Files]:
    if source.is_dir():
        yield {path.name: partial(_open_bytes, path) for path in sorted(source.iterdir()) if path.is_file()}
        return
    try:
        with zipfile.ZipFile(source) as archive:
            yield _members(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadFile(f"{source} cannot be read as a zip file: {error}") from error
    except FileNotFoundError as error:
        raise BadFile(f"{source} is not there; expected a folder or a zip file with a bundle") from error


def _open_bytes(path: Path) -> IO[bytes]:
    return path.open("rb")


def _members(archive: zipfile.ZipFile) -> Files:
    """Return the files beside the card, which lies at the top or one folder down; all others are skipped."""
    cards = [info for info in archive.infolist() if PurePosixPath(info.filename).name == CARD_NAME]
    tops = sorted({PurePosixPath(info.filename).parent for info in cards}, key=lambda top: len(top.parts))
    if not tops:
        return {}
    return {
        PurePosixPath(info.filename).name: partial(archive.open, info)
        for info in archive.infolist()
        if not info.is_dir() and PurePosixPath(info.filename).parent == tops[0] and _is_plain(info.filename)
    }


def _is_plain(member: str) -> bool:
    """Return False where a name would be a path on this system, as one with a backslash is on Windows."""
    name = PurePosixPath(member).name
    return Path(name).name == name


def _stage_card(source: Path, files: Files, fresh: Path) -> Card:
    _copy(source, files, CARD_NAME, fresh)
    try:
        return read_card(fresh)
    except BundleDamaged as error:
        # The person knows the file by where it came from.
        raise BundleDamaged(str(error).replace(str(fresh), str(source))) from error


def _copy(source: Path, files: Files, name: str, fresh: Path) -> str:
    """Copy one file, flushed to the disk, and return its sha256. Raises BundleDamaged when there is no such file."""
    if name not in files:
        raise BundleDamaged(f"{source} lacks {name}")
    digest = hashlib.sha256()
    with files[name]() as read, open(fresh / name, "xb") as write:
        while chunk := read.read(CHUNK_BYTES):
            digest.update(chunk)
            write.write(chunk)
        write.flush()
        os.fsync(write.fileno())
    return digest.hexdigest()


def _replace(target: Path, fresh: Path, old: Path) -> None:
    """Rename `fresh` to `target`, and `target`, where there is one, to `old`."""
    if target.exists():
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
