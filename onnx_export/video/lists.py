"""Lists of videos: a folder's, or those that the lists of VGGSound and MUSIC name."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_export.video.reader import Video

SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".flv", ".ts", ".3gp"}
START = re.compile(r"(.+)_\d{6}$")
"""VGGSound's files: the recording's id and the second that the clip starts at."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The videos of one folder."""

    folder: Path
    videos: Sequence[Video]
    n_missing: int = 0
    """Entries of the lists that have no file."""


def find_videos(folder: Path, lists: Sequence[Path] = ()) -> Listing:
    """Return all videos under `folder`, or those that lists name: VGGSound's CSV, MUSIC's JSON.

    Raises ValueError when a list is neither, or when there is no video.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not lists:
        return _require_videos(Listing(folder, [Video(path, _recording_id(path.stem)) for path in paths]))
    files = {path.stem: path for path in reversed(paths)}
    entries = [video for path in lists for video in _read_list(path)]
    found = {}
    for video in entries:
        match = _with_file(video, files)
        # MUSIC names some videos under two instruments.
        if match and (match.path, match.start_s) not in found:
            found[match.path, match.start_s] = match
    n_missing = sum(_with_file(video, files) is None for video in entries)
    return _require_videos(Listing(folder, list(found.values()), n_missing))


def _require_videos(listing: Listing) -> Listing:
    if not listing.videos:
        missing = f"; {listing.n_missing} that the lists name are not there" if listing.n_missing else ""
        raise ValueError(f"{listing.folder} has no videos, expected files as *.mp4 or *.webm{missing}")
    return listing


def _recording_id(stem: str) -> str:
    match = START.match(stem)
    return match[1] if match else stem


def _with_file(video: Video, files: Mapping[str, Path]) -> Video | None:
    """Return a list's entry with its file, cut already or the whole video; None where there is none."""
    cut = None if video.start_s is None else files.get(f"{video.recording_id}_{round(video.start_s):06d}")
    path, start_s = (cut, None) if cut else (files.get(video.recording_id), video.start_s)
    return Video(path, video.recording_id, video.label, video.split, start_s) if path else None


def _read_list(path: Path) -> Iterator[Video]:
    """Return the entries of a list without their files: `path` is empty."""
    if path.suffix.lower() == ".json":
        return _read_music(path)
    if path.suffix.lower() == ".csv":
        return _read_vggsound(path)
    raise ValueError(f"{path}: expected VGGSound's *.csv or MUSIC's *.json")


def _read_vggsound(path: Path) -> Iterator[Video]:
    with open(path, newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if len(row) != 4 or not row[1].isdigit() or row[3] not in ("train", "test"):
                raise ValueError(f"{path}, line {number}: {','.join(row)!r}, expected id, second, label, train or test")
            yield Video(Path(), row[0], row[2], row[3], float(row[1]))


def _read_music(path: Path) -> Iterator[Video]:
    try:
        entries = json.loads(path.read_text("utf-8"))["videos"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: expected {{"videos": {{label: [id, ...]}}}}') from error
    for label, names in entries:
        for name in names:
            yield Video(Path(), name, label.replace("_", " "))
