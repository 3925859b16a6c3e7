"""The paper's variants side by side (Dong et al. 2023, table 1), heard by the judges of `evaluate`."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from onnx_export.clipsonic.training.datasets import DataPaths
from onnx_export.clipsonic.training.image_conditioning import sound_labels_by_group
from onnx_export.data.images import Picture, held_out, read_pictures
from onnx_export.data.sounds import SoundDataset
from onnx_export.evaluation.clip_sets import LONGEST_S, Heard, make, of_cache, pick_test_clips, revoiced
from onnx_export.evaluation.evaluate import REAL, Weights, ears, judge_by, sentences_of
from onnx_export.evaluation.judges import concepts
from onnx_export.evaluation.report import Report
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import Bundle
from plugin_server.engine.families.clipsonic import Clipsonic, load
from plugin_server.engine.sessions import SessionOptions

log = logging.getLogger(__name__)

SHIPPED = "clipsonic-mini"


@dataclass(frozen=True, slots=True)
class Asked:
    """A test recording with what a variant may be asked for in its place: its caption, or a photo nobody was taught."""

    clip: Heard
    picture: Picture


def compare(folder: Path, sources: DataPaths, weights: Weights) -> Report:
    """Every variant whose bundle is in `folder`, on the test recordings of sounds that pictures show.

    Each row is of as many clips, of the same sounds and lengths. Raises ValueError when no bundle is there.
    """
    models = {path.name: _open(path) for path in sorted(folder.iterdir()) if (path / "card.json").exists()}
    if not models:
        raise ValueError(f"{folder} holds no bundle: export the variants there")
    cache, embed = sources.sound_dataset(), sentences_of(sources)
    labels = concepts(cache)
    asked = ask(cache, labels, held_out(read_pictures(sources.need("images"))))
    real = [one.clip for one in asked]
    any_model = next(iter(models.values()))
    played = {REAL: real, "through the vocoder": revoiced(any_model, real)}
    for name, clips in rows(models):
        log.info("%s", name)
        played[name] = clips(asked)
    report = Report(f"{len(real)} test recordings of sounds that pictures show", len(labels))
    for ear in ears(any_model, weights):
        judge_by(ear, report, cache, labels, played, {"recordings of one sound": _groups(real)}, embed)
    report.diversity, report.categories = {}, {}
    return report


def ask(cache: SoundDataset, labels: Sequence[str], photos: dict[str, list[Picture]]) -> list[Asked]:
    """Test recordings with a held-out photo of what sounds, those of the sources that taught first; the photos of a
    label take turns."""
    showing: dict[str, list[Picture]] = defaultdict(list)
    groups = sound_labels_by_group()
    for picture in [picture for kind in photos.values() for picture in kind]:
        for label in groups.get(picture.group, ()):
            showing[label].append(picture)
    asked: list[Asked] = []
    turns: dict[str, int] = defaultdict(int)
    for clip in of_cache(cache, pick_test_clips(cache, labels)):
        if clip.label in showing:
            row = showing[clip.label]
            asked.append(Asked(clip, row[turns[clip.label] % len(row)]))
            turns[clip.label] += 1
    return asked


Row = Callable[[Sequence[Asked]], list[Heard]]


def rows(models: dict[str, Clipsonic]) -> Iterator[tuple[str, Row]]:
    """The table's rows with what makes their clips, as the paper names them."""
    if "clipsonic-iq" in models:
        iq = models["clipsonic-iq"]
        yield "CLIPSonic-IQ, from pictures", partial(from_pictures, iq)
        for way, name in (("zs", "ZS"), ("pd", "PD"), ("sd", "SD")):
            if way in iq.card.conditionings:
                yield f"CLIPSonic-{name}", partial(from_words, iq, way=way)
    for name, title in (("clipsonic-tta", "CLIP-TTA"), ("clipsonic-clap-tta", "CLAP-TTA")):
        if name in models:
            yield title, partial(from_words, models[name])
    if SHIPPED in models:
        mini = models[SHIPPED]
        for way in mini.card.conditionings:
            yield f"as shipped, from words by {way}", partial(from_words, mini, way=way)
        if mini.card.image:
            yield "as shipped, from pictures", partial(from_pictures, mini)


def from_words(model: Clipsonic, asked: Sequence[Asked], way: str = "") -> list[Heard]:
    """A clip from each recording's caption, as long as it."""
    return [_heard(model, one, seed, one.clip.prompt, via=way) for seed, one in enumerate(asked)]


def from_pictures(model: Clipsonic, asked: Sequence[Asked]) -> list[Heard]:
    """A clip from each recording's photo, as long as it."""
    return [_heard(model, one, seed, "", images=(str(one.picture.path),)) for seed, one in enumerate(asked)]


def _heard(model: Clipsonic, one: Asked, seed: int, prompt: str, images: tuple[str, ...] = (), via: str = "") -> Heard:
    clip, lengths = one.clip, model.card.lengths
    seconds = float(np.clip(len(clip.wave) / model.sample_rate, lengths.minimum, min(LONGEST_S, lengths.maximum)))
    wave = make(model, prompt, seconds, seed, images, via)
    return Heard(wave, clip.label, clip.prompt, clip.category)


def _groups(clips: Sequence[Heard]) -> list[list[Heard]]:
    found: dict[str, list[Heard]] = defaultdict(list)
    for clip in clips:
        found[clip.label].append(clip)
    return list(found.values())


def _open(folder: Path) -> Clipsonic:
    return load(Bundle(folder, read_card(folder)), SessionOptions())
