"""Features of videos for training: computed once by several processes, kept in shards, memory-mapped when used."""

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnx_export.data.sounds import Sound, split_of
from onnx_export.joint_embeddings import JointEmbedding, embedding_name, open_embedding
from onnx_export.video.cutting import Cutting
from onnx_export.video.lists import Listing, find_videos
from onnx_export.video.prefetch import prefetch
from onnx_export.video.reader import ReadResult, Video, VideoClip, read_video
from plugin_server.audio.spectral import MelSettings

if TYPE_CHECKING:
    from onnx_export.config import Config

log = logging.getLogger(__name__)

FORMAT = 1
INDEX_NAME = "index.json"
SHARD_VIDEOS = 128
"""Videos in a shard. A run that is stopped loses those of one: some minutes of one process."""
PICTURE_BATCH = 128
OPEN_SHARDS = 256
"""Each open shard takes one of the files that a process may have open, often 1024."""


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """All that features depend on, beside the videos."""

    embedding: str
    """The joint embedding's name."""
    mel: MelSettings = field(default_factory=MelSettings)
    cutting: Cutting = field(default_factory=Cutting)


class VideoSet:
    """Clips of videos for training: log-mels beside embeddings of the frames seen meanwhile.

    `sounds` has one row a clip; `splits` is 'train', 'valid' or 'test' of each; `settings` is what they were computed
    with, `mel_settings` the part of it that log-mels depend on; `embedding` is the space's name and `n_embedding` its
    size; `skipped` counts by reason what could not be used.
    """

    def __init__(self, folder: Path):
        """Open features that are complete. Raises ValueError when they are not."""
        if not (folder / INDEX_NAME).exists():
            raise ValueError(f"{folder} has no {INDEX_NAME}: features are made by `python -m onnx_export features`")
        index = _read_json(folder / INDEX_NAME)
        self.folder = folder
        mel, cutting = MelSettings(**index["mel"]), Cutting(**index["cutting"])
        self.settings = FeatureSettings(index["embedding"], mel, cutting)
        self.embedding = self.settings.embedding
        self.n_embedding: int = index["n_embedding"]
        self.mel_settings, self.n_mels = mel, mel.n_mels
        self.skipped: dict[str, int] = index["skipped"]
        self.sounds: list[Sound] = []
        self.splits: list[str] = []
        self._locations: list[tuple[int, int, int, int]] = []
        """Shard, first number in it, frames of the mel, pictures."""
        for shard in range(index["n_shards"]):
            self._add(shard, Path(index["folder"]))
        self._map = lru_cache(OPEN_SHARDS)(self._map_shard)

    def __len__(self) -> int:
        return len(self.sounds)

    def __reduce__(self) -> tuple:
        """Let another process open the files for itself."""
        return VideoSet, (self.folder,)

    def _add(self, shard: int, videos: Path) -> None:
        offset = 0
        for row in _read_json(self.folder / f"{shard:05d}.json")["clips"]:
            self.sounds.append(_sound(videos, row))
            self.splits.append(row["split"] or split_of(row["recording_id"]))
            self._locations.append((shard, offset, row["frames"], row["pictures"]))
            offset += row["frames"] * self.n_mels + row["pictures"] * self.n_embedding

    def _map_shard(self, shard: int) -> np.ndarray:
        return np.memmap(self.folder / f"{shard:05d}.f16", np.float16, "r")

    def mel(self, index: int) -> np.ndarray:
        """Return the log-mel, float16 (frames, n_mels), of one clip."""
        shard, offset, frames, _ = self._locations[index]
        return self._map(shard)[offset : offset + frames * self.n_mels].reshape(frames, self.n_mels)

    def frames(self, index: int) -> np.ndarray:
        """Return unit vectors, float32 (n, n_embedding), of the clip's own frames in their order."""
        shard, offset, frames, pictures = self._locations[index]
        low = offset + frames * self.n_mels
        vectors = self._map(shard)[low : low + pictures * self.n_embedding].reshape(pictures, self.n_embedding)
        return vectors.astype(np.float32)

    def indices(self, split: str) -> list[int]:
        """Return the clips of one split: the dataset's own, or by recording."""
        return [i for i, own_split in enumerate(self.splits) if own_split == split]


def _sound(folder: Path, row: dict) -> Sound:
    """Return a clip as a sound of a catalogue; nothing is known of its licence."""
    return Sound(
        path=folder / row["file"],
        label=row["label"],
        caption=row["label"],
        category="",
        recording_id=row["recording_id"],
        licence="",
        attribution="",
        source="video",
        source_rate_hz=row["rate_hz"],
    )


def features_folder(listing: Listing, settings: FeatureSettings, folder: Path) -> Path:
    """Return the folder in `folder` of these videos' features, computed or not, by a name of all they depend on."""
    videos = [(_file(v, listing), v.path.stat().st_size, v.label, v.split, v.start_s) for v in listing.videos]
    return folder / hashlib.blake2s(repr((FORMAT, settings, videos)).encode()).hexdigest()[:12]


def extract_features(
    folder: Path, lists: Sequence[Path], config: "Config", runs: Path, device: str = "cpu", workers: int = 1
) -> VideoSet:
    """Return features of a folder's videos, or of those that lists name; computed where they are not yet.

    `folder` may also hold features, computed elsewhere. Raises ValueError when no video can be used, when features
    were computed with other settings, and when the embedding has not the size that the configuration has.
    """
    tag = config.embedding.tag
    settings = FeatureSettings(embedding_name(tag), config.mel, config.videos)
    if (folder / INDEX_NAME).exists():
        return _checked(VideoSet(folder), settings, lists)

    def open_checked() -> JointEmbedding:
        embedding = open_embedding(tag, device, runs)
        _check_size(tag, embedding.size, config)
        return embedding

    found = make_features(find_videos(folder, lists), settings, open_checked, runs / "videos", workers)
    _check_size(tag, found.n_embedding, config)
    return found


def _checked(found: VideoSet, settings: FeatureSettings, lists: Sequence[Path]) -> VideoSet:
    if lists:
        raise ValueError(f"{found.folder} holds features, which were made of lists or of none: expected no --list")
    for part in fields(settings):
        stored, expected = getattr(found.settings, part.name), getattr(settings, part.name)
        if stored != expected:
            raise ValueError(f"{found.folder}: {part.name} of the features is {stored}, expected {expected}")
    return found


def _check_size(tag: str, size: int, config: "Config") -> None:
    if size != config.denoiser.n_embedding:
        raise ValueError(f"denoiser.n_embedding is {config.denoiser.n_embedding}, expected {size}, the size of {tag}")


def make_features(
    listing: Listing,
    settings: FeatureSettings,
    open_embedding: Callable[[], JointEmbedding],
    folder: Path,
    workers: int = 1,
) -> VideoSet:
    """Compute features of all videos in a folder of their own in `folder`; shards of a stopped run are used.

    `workers` processes decode; this one embeds. `open_embedding` is called only when something is left to do. Raises
    ValueError when no video can be used.
    """
    target = features_folder(listing, settings, folder)
    if not (target / INDEX_NAME).exists():
        target.mkdir(parents=True, exist_ok=True)
        shards = [listing.videos[i : i + SHARD_VIDEOS] for i in range(0, len(listing.videos), SHARD_VIDEOS)]
        left = [k for k in range(len(shards)) if not (target / f"{k:05d}.json").exists()]
        log.info("%d videos in %s, %d of %d shards left", len(listing.videos), target, len(left), len(shards))
        if left:
            _make_shards(target, listing, settings, {k: shards[k] for k in left}, open_embedding(), workers)
        _write_index(target, listing, settings, len(shards))
    found = VideoSet(target)
    skipped = ", ".join(f"{reason} {n}" for reason, n in found.skipped.items()) or "nothing"
    log.info("%d clips; left out: %s", len(found), skipped)
    return found


def _make_shards(
    target: Path,
    listing: Listing,
    settings: FeatureSettings,
    shards: dict[int, Sequence[Video]],
    embedding: JointEmbedding,
    workers: int,
) -> None:
    if embedding.name != settings.embedding:
        raise ValueError(f"the embedding is {embedding.name!r}, expected {settings.embedding!r}")
    read = partial(read_video, mel=settings.mel, cutting=settings.cutting, picture_side=embedding.picture_side)
    reads = prefetch((video for videos in shards.values() for video in videos), read, workers)
    for k, videos in shards.items():
        _Shard(target / f"{k:05d}", listing, embedding).write(zip(videos, islice(reads, len(videos)), strict=True))
        log.info("shard %d of %d", k + 1, -(-len(listing.videos) // SHARD_VIDEOS))


class _Shard:
    """Some videos' features in one file, with their rows in another that is written last."""

    def __init__(self, stem: Path, listing: Listing, embedding: JointEmbedding):
        self.stem, self.listing, self.embedding = stem, listing, embedding
        self.rows: list[dict] = []
        self.skipped: dict[str, list[str]] = {}
        self._waiting: list[VideoClip] = []

    def write(self, reads: Iterable[tuple[Video, ReadResult]]) -> None:
        part = self.stem.with_suffix(".part")
        with open(part, "wb") as file:
            for video, read in reads:
                self._add_rows(video, read)
                self._waiting.extend(read.clips)
                if sum(len(clip.pictures) for clip in self._waiting) >= PICTURE_BATCH:
                    self._flush(file)
            self._flush(file)
        os.replace(part, self.stem.with_suffix(".f16"))
        size = {"n_embedding": self.embedding.size}
        _write_json(self.stem.with_suffix(".json"), size | {"clips": self.rows, "skipped": self.skipped})

    def _add_rows(self, video: Video, read: ReadResult) -> None:
        file = _file(video, self.listing)
        row = {"file": file, "label": video.label, "split": video.split, "recording_id": video.recording_id}
        for clip in read.clips:
            sizes = {"frames": len(clip.mel), "pictures": len(clip.pictures)}
            self.rows.append(row | sizes | {"start_s": clip.start_s, "rate_hz": read.source_rate_hz})
        for reason, n in read.skipped.items():
            self.skipped.setdefault(reason, []).extend([file] * n)

    def _flush(self, file) -> None:
        if not self._waiting:
            return
        vectors = self.embedding.embed_pictures([picture for clip in self._waiting for picture in clip.pictures])
        ends = np.cumsum([len(clip.pictures) for clip in self._waiting])[:-1]
        for clip, own in zip(self._waiting, np.split(vectors, ends), strict=True):
            file.write(clip.mel.tobytes())
            file.write(own.astype(np.float16).tobytes())
        self._waiting.clear()


def _write_index(target: Path, listing: Listing, settings: FeatureSettings, n_shards: int) -> None:
    shards = [_read_json(target / f"{k:05d}.json") for k in range(n_shards)]
    skipped = Counter({"no file": listing.n_missing} if listing.n_missing else {})
    for shard in shards:
        skipped.update({reason: len(files) for reason, files in shard["skipped"].items()})
    if not any(shard["clips"] for shard in shards):
        raise ValueError(f"none of the {len(listing.videos)} videos in {listing.folder} can be used: {dict(skipped)}")
    _write_json(
        target / INDEX_NAME,
        {
            "format": FORMAT,
            **asdict(settings),
            "folder": str(listing.folder.absolute()),
            "n_embedding": shards[0]["n_embedding"],
            "n_shards": n_shards,
            "n_clips": sum(len(shard["clips"]) for shard in shards),
            "skipped": dict(skipped.most_common()),
        },
    )


def _file(video: Video, listing: Listing) -> str:
    return video.path.relative_to(listing.folder).as_posix()


def _write_json(path: Path, value: dict) -> None:
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(json.dumps(value), "utf-8")
    os.replace(beside, path)


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))
