"""Install bundles into the user's folder of bundles and remove them: whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from plugin_server.engine.bundles.archive import Members, open_members
from plugin_server.engine.bundles.card import CARD_NAME, Card
from plugin_server.engine.bundles.card_reader import MAX_CARD_BYTES, is_plain_name, read_card
from plugin_server.engine.bundles.registry import Bundle, open_bundle
from plugin_server.errors import BadArgument, BundleDamaged, FolderNotWritable, UnknownModel, short_repr
from plugin_server.private_files import make_private_folder

CHUNK_BYTES = 1 << 20
DOCUMENTS = (".md", ".txt")
"""Files beside those of the card that are worth keeping: the model's card, licences, attributions."""
MAX_FILES, MAX_DOCUMENTS = 256, 32
MAX_FILE_BYTES, MAX_BUNDLE_BYTES, MAX_DOCUMENT_BYTES = 16 * 2**30, 32 * 2**30, 2**20


def install_bundle(source: Path, home: Path) -> Bundle:
    """Copy the bundle in `source`, a folder or a zip file, into the folder `home`; one of its name is replaced.

    Nothing lands before the card and every checksum were looked at. Raises BadFile when `source` is neither,
    BundleDamaged when the bundle is not what its card says, FolderNotWritable.
    """
    with open_members(source) as members, staging(home) as stage:
        fresh = stage / "fresh"
        fresh.mkdir()
        card = _stage_card(source, members, fresh)
        _check_sizes(source, members, card, home)
        for name, digest in card.files.items():
            found = _copy(source, members, name, fresh, MAX_FILE_BYTES)
            if found != digest:
                raise BundleDamaged(f"{source}: {name} has sha256 {found[:12]}..., the card says {digest[:12]}...")
        for name in _documents(members, card):
            _copy(source, members, name, fresh, MAX_DOCUMENT_BYTES)
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


def _stage_card(source: Path, members: Members, fresh: Path) -> Card:
    _copy(source, members, CARD_NAME, fresh, MAX_CARD_BYTES)
    try:
        return read_card(fresh)
    except BundleDamaged as error:
        # The person knows the file by where it came from.
        raise BundleDamaged(str(error).replace(str(fresh), str(source))) from error


def _check_sizes(source: Path, members: Members, card: Card, home: Path) -> None:
    """Check the sizes of all files of a card, before any is unpacked. Raises BundleDamaged or FolderNotWritable."""
    if len(card.files) > MAX_FILES:
        raise BundleDamaged(f"{source}: its card lists {len(card.files)} files, expected at most {MAX_FILES}")
    listed = {name: members[name] for name in card.files if name in members}
    for name, member in listed.items():
        if member.problem:
            raise BundleDamaged(f"{source}: {name} {member.problem}")
        if member.size > MAX_FILE_BYTES:
            raise BundleDamaged(f"{source}: {name} has {member.size} bytes, expected at most {MAX_FILE_BYTES}")
    total = sum(member.size for member in listed.values())
    if total > MAX_BUNDLE_BYTES:
        raise BundleDamaged(f"{source}: its files have {total} bytes, expected at most {MAX_BUNDLE_BYTES}")
    free = shutil.disk_usage(home).free
    if total > free:
        raise FolderNotWritable(f"the folder of bundles {home} has {free} bytes left, {total} are needed")


def _documents(members: Members, card: Card) -> list[str]:
    """Return the names of the documents beside the card that are worth keeping, and small."""
    names = [name for name in members if name.lower().endswith(DOCUMENTS) and name not in card.files]
    small = [name for name in names if not members[name].problem and members[name].size <= MAX_DOCUMENT_BYTES]
    return [name for name in small if is_plain_name(name)][:MAX_DOCUMENTS]


def _copy(source: Path, members: Members, name: str, fresh: Path, largest: int) -> str:
    """Copy one file, flushed to the disk, and return its sha256.

    Raises BundleDamaged when there is no such file, or it has more bytes than it was said to have.
    """
    if name not in members:
        raise BundleDamaged(f"{source} lacks {name}")
    member = members[name]
    if member.problem or member.size > largest:
        problem = member.problem or f"has {member.size} bytes, expected at most {largest}"
        raise BundleDamaged(f"{source}: {name} {problem}")
    digest, left = hashlib.sha256(), member.size
    with member.open() as read, open(fresh / name, "xb") as write:
        while chunk := read.read(CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise BundleDamaged(f"{source}: {name} has more than the {member.size} bytes that it should have")
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
