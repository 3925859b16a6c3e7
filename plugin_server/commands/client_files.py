"""Copies of the clients' folders: whole or not at all, and never over files that somebody else has written."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from plugin_server.errors import BadFile, FolderNotWritable
from plugin_server.untrusted_files import open_file, read_json

MANIFEST = ".clipsonic.json"
"""File in the folder of an installed client: the SHA-256 of each file as it was copied."""
SYSTEM_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Files that systems write into folders that are looked at; nobody misses them."""


def install_clients(source: Path, home: Path, names: Sequence[str]) -> list[Path]:
    """Copy the folders `names` of `source` into the folder `home`, which is made when it is missing.

    A folder that an earlier installation has written is replaced if it is as that left it. Nothing is changed unless
    all of them can be copied.

    Returns:
        The folders of the installed clients, in the order of `names`.

    Raises:
        BadFile: `source` lacks a folder, or a folder in `home` holds files that are not this program's, or that were
            changed since it wrote them.
        FolderNotWritable: `home` cannot be made or changed.
    """
    for name in names:
        if not (source / name).is_dir():
            raise BadFile(f"{source / name} is missing; the clients came with another version, or not at all")
        _check_unchanged(home / name)
    with _staging(home) as stage:
        for name in names:
            _copy(source / name, stage / "new" / name)
        _replace(home, stage, names)
    return [home / name for name in names]


def _check_unchanged(folder: Path) -> None:
    """Raise BadFile when replacing a folder would lose something that this program has not written."""
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise BadFile(f"{folder} is there and is no folder of this program; nothing was changed")
    known = _read_manifest(folder)
    present = _checksums(folder)
    foreign = [name for name, checksum in present.items() if known.get(name) != checksum]
    if foreign:
        listed = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise BadFile(
            f"{folder} holds files that clipsonic clients install has not written, or not so: {listed}; "
            "move them elsewhere, or choose another folder (nothing was changed)"
        )


def _read_manifest(folder: Path) -> Mapping[str, object]:
    try:
        content = read_json(folder / MANIFEST)
    except BadFile:
        return {}
    return content if isinstance(content, dict) else {}


def _checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder, by its path from there; links count as files."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
    return {
        path.relative_to(folder).as_posix(): "" if path.is_symlink() else _checksum(path)
        for path in paths
        if path != folder / MANIFEST and path.name not in SYSTEM_FILES
    }


def _checksum(path: Path) -> str:
    """Return the SHA-256 of a file, '' where it cannot be read or is none, as no file that was installed here."""
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (BadFile, OSError):
        return ""


def _copy(source: Path, fresh: Path) -> None:
    shutil.copytree(source, fresh, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    (fresh / MANIFEST).write_text(json.dumps(_checksums(fresh), indent=1) + "\n", "utf-8")


@contextmanager
def _staging(home: Path) -> Iterator[Path]:
    """Make a hidden folder in `home`, on the same disk, so that what is in it can be moved in one step."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".clipsonic-", dir=home, ignore_cleanup_errors=True) as stage:
            (Path(stage) / "old").mkdir()
            yield Path(stage)
    except OSError as error:
        raise FolderNotWritable(f"{home} cannot be changed: {error}") from error


def _replace(home: Path, stage: Path, names: Sequence[str]) -> None:
    """Move the new folders in and the old ones out; when one move fails, undo the others."""
    moved: list[tuple[Path, Path]] = []
    try:
        for name in names:
            steps = [(stage / "new" / name, home / name)]
            if (home / name).exists():
                steps.insert(0, (home / name, stage / "old" / name))
            for before, after in steps:
                before.rename(after)
                moved.append((before, after))
    except OSError:
        for before, after in reversed(moved):
            after.rename(before)
        raise
