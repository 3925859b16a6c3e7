"""The paper's variants side by side (Dong et al. 2023, table 1), by the judges of `evaluate`."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from onnx_export.clipsonic.training.datasets import DataPaths
from onnx_export.clipsonic.training.image_conditioning import sound_labels_by_group
from onnx_export.data.images import Picture, held_out, read_pictures
from onnx_export.data.sounds import SoundDataset
from onnx_export.evaluation.clip_sets import (
    EvalClip,
    corpus_clips,
    generate,
    matching_length,
    resynthesised,
    select_test_clips,
)
from onnx_export.evaluation.evaluate import (
    REAL,
    ReferenceWeights,
    clip_metrics,
    feature_extractors,
    sentence_embedder,
)
from onnx_export.evaluation.judges import Judge, evaluated_labels
from onnx_export.evaluation.report import EvaluationReport
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import Bundle
from plugin_server.engine.families.clipsonic import Clipsonic, load
from plugin_server.engine.sessions import SessionOptions

log = logging.getLogger(__name__)

SHIPPED = "clipsonic-mini"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A test recording, and a held-out photo of what sounds: a variant generates from its caption or from the photo."""

    clip: EvalClip
    picture: Picture


Generator: TypeAlias = Callable[[Sequence[Comparison]], list[EvalClip]]
"""Generates a clip for each comparison."""


def compare(folder: Path, sources: DataPaths, weights: ReferenceWeights) -> EvaluationReport:
    """Judge every variant whose bundle is in `folder`, on the test recordings of sounds that pictures show.

    Each row is of as many clips, of the same sounds and lengths.

    Raises:
        ValueError: When no bundle is there.
    """
    models = {path.name: _load_model(path) for path in sorted(folder.iterdir()) if (path / "card.json").exists()}
    if not models:
        raise ValueError(f"{folder} holds no bundle: export the variants there")
    cache, embed = sources.sound_dataset(), sentence_embedder(sources)
    labels = evaluated_labels(cache.sounds)
    comparisons = build_comparisons(cache, labels, held_out(read_pictures(sources.need("images"))))
    real = [comparison.clip for comparison in comparisons]
    any_model = next(iter(models.values()))
    clips = {REAL: real, "through the vocoder": resynthesised(any_model, real)}
    for name, generator in table_rows(models):
        log.info("%s", name)
        clips[name] = generator(comparisons)
    report = EvaluationReport(f"{len(real)} test recordings of sounds that pictures show", len(labels))
    for features in feature_extractors(any_model, weights):
        judge = Judge.train(features, cache, labels, embed)
        rows = {name: judge.clip_features(part) for name, part in clips.items()}
        report.clips[features.name] = clip_metrics(judge, clips, rows)
    return report


def build_comparisons(cache: SoundDataset, labels: Sequence[str], photos: dict[str, list[Picture]]) -> list[Comparison]:
    """Return test recordings, each with a held-out photo of what sounds.

    Photos from the sources that were trained on come first; the photos of a label take turns. Recordings of labels
    that no photo shows are left out.
    """
    photos_of: dict[str, list[Picture]] = defaultdict(list)
    groups = sound_labels_by_group()
    for picture in [picture for pictures in photos.values() for picture in pictures]:
        for label in groups.get(picture.group, ()):
            photos_of[label].append(picture)
    comparisons: list[Comparison] = []
    turns: dict[str, int] = defaultdict(int)
    for clip in corpus_clips(cache, select_test_clips(cache, labels)):
        if clip.label in photos_of:
            pictures = photos_of[clip.label]
            comparisons.append(Comparison(clip, pictures[turns[clip.label] % len(pictures)]))
            turns[clip.label] += 1
    return comparisons


def table_rows(models: dict[str, Clipsonic]) -> Iterator[tuple[str, Generator]]:
    """Yield the names of the table's rows as the paper has them, with what generates their clips.

    Args:
        models: Open bundles by name; rows of those that are missing are left out.
    """
    if "clipsonic-iq" in models:
        iq = models["clipsonic-iq"]
        yield "CLIPSonic-IQ, from pictures", partial(generate_from_photos, iq)
        for conditioning, name in (("zs", "ZS"), ("pd", "PD"), ("sd", "SD")):
            if conditioning in iq.card.conditionings:
                yield f"CLIPSonic-{name}", partial(generate_from_captions, iq, conditioning=conditioning)
    for name, title in (("clipsonic-tta", "CLIP-TTA"), ("clipsonic-clap-tta", "CLAP-TTA")):
        if name in models:
            yield title, partial(generate_from_captions, models[name])
    if SHIPPED in models:
        mini = models[SHIPPED]
        for conditioning in mini.card.conditionings:
            generator = partial(generate_from_captions, mini, conditioning=conditioning)
            yield f"as shipped, from words by {conditioning}", generator
        if mini.card.image:
            yield "as shipped, from pictures", partial(generate_from_photos, mini)


def generate_from_captions(
    model: Clipsonic, comparisons: Sequence[Comparison], conditioning: str = ""
) -> list[EvalClip]:
    """Return a clip generated from each recording's caption, as long as it."""
    return [
        clip.with_wave(generate(model, clip.prompt, matching_length(model, clip.wave), seed, conditioning=conditioning))
        for seed, clip in enumerate(comparison.clip for comparison in comparisons)
    ]


def generate_from_photos(model: Clipsonic, comparisons: Sequence[Comparison]) -> list[EvalClip]:
    """Return a clip generated from each recording's photo, as long as it."""
    clips = []
    for seed, comparison in enumerate(comparisons):
        seconds = matching_length(model, comparison.clip.wave)
        wave = generate(model, "", seconds, seed, images=(str(comparison.picture.path),))
        clips.append(comparison.clip.with_wave(wave))
    return clips


def _load_model(folder: Path) -> Clipsonic:
    return load(Bundle(folder, read_card(folder)), SessionOptions())
