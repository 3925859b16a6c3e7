"""The evaluation of a bundle on recordings it was not trained on.

Judges score its clips, beside recordings, copies of training clips, and noise.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnx_export.clipsonic.training.datasets import CACHE_FOLDER, DataPaths
from onnx_export.data.images import held_out, read_pictures
from onnx_export.data.sentence_encoder import SentenceEncoder
from onnx_export.data.sounds import SoundDataset
from onnx_export.evaluation.clip_sets import (
    CaptionSearch,
    ClipGroups,
    ClipSets,
    Embed,
    EvalClip,
    corpus_clips,
    generated_for,
    generated_from_prompts,
    read_paraphrases,
    resynthesised,
    same_label_clips,
    select_test_clips,
    white_noise_for,
)
from onnx_export.evaluation.distances import (
    ConfidenceInterval,
    bootstrap_mean,
    frechet_audio_distance,
    nearest_distances,
)
from onnx_export.evaluation.features import AudioFeatures, MelStatistics, SoundNetFeatures
from onnx_export.evaluation.figures import draw_contact_sheet
from onnx_export.evaluation.image_metrics import (
    ImageClip,
    generate_from_pictures,
    image_tower_metrics,
    select_pictures,
    top_k_accuracy,
)
from onnx_export.evaluation.judges import TOP_K, Judge, evaluated_labels
from onnx_export.evaluation.references.crepe import load_crepe
from onnx_export.evaluation.report import EvaluationReport, Metrics
from onnx_export.evaluation.textures.grain_shares import texture_grain
from onnx_export.evaluation.vocoders import compare_vocoders
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import Bundle, verify_bundle
from plugin_server.engine.families.clipsonic import Clipsonic, load
from plugin_server.engine.sessions import Cancellation, SessionOptions

log = logging.getLogger(__name__)

REAL, SAME_LABEL = "real test recordings", "training recordings of the same sounds"
GENERATED = "made from captions"
VOCODER_EXCERPTS = 2
"""Recordings of a category where vocoders alone are measured, which shall take a minute."""
MAX_GROUP = 4
"""Recordings of one label whose differences are measured."""


@dataclass(frozen=True, slots=True)
class ReferenceWeights:
    """Files of published networks that are no part of the project; each may be missing."""

    soundnet: Path | None = None
    hifigan: Path | None = None
    crepe: Path | None = None


def evaluate_vocoders(
    folder: Path, sources: DataPaths, weights: ReferenceWeights, checkpoints: Sequence[Path]
) -> EvaluationReport:
    """Measure a bundle's vocoder alone, beside those of checkpoints and the references.

    Raises:
        ValueError: When a checkpoint is not there.
    """
    bundle = Bundle(folder, read_card(folder))
    report = EvaluationReport(f"{bundle.card.name} {bundle.card.version}")
    crepe = load_crepe(weights.crepe) if weights.crepe else None
    model, cache = load(bundle, SessionOptions()), sources.sound_dataset()
    report.vocoders = compare_vocoders(model, cache, weights.hifigan, crepe, checkpoints, VOCODER_EXCERPTS)
    return report


def evaluate_bundle(
    folder: Path, sources: DataPaths, weights: ReferenceWeights, n_takes: int, sheet: Path | None
) -> EvaluationReport:
    """Measure everything that the given files allow.

    Args:
        folder: The bundle's folder.
        sources: Corpus and other data.
        weights: Published networks to judge by and to compare with.
        n_takes: Clips that are generated from each label.
        sheet: PNG file for a contact sheet of recordings and generated clips; their sounds go into a folder beside it.

    Raises:
        BundleDamaged: When a file of the bundle is not what its card says.
        ValueError: When a file of weights is another than expected.
    """
    bundle = Bundle(folder, read_card(folder))
    verify_bundle(bundle)
    model, cache = load(bundle, SessionOptions()), sources.sound_dataset()
    embed = sentence_embedder(sources)
    report = EvaluationReport(f"{bundle.card.name} {bundle.card.version}")
    log.info("text tower")
    report.text_tower = text_tower_accuracy(model, sorted({sound.label for sound in cache.sounds}))
    log.info("vocoder")
    crepe = load_crepe(weights.crepe) if weights.crepe else None
    report.vocoders = compare_vocoders(model, cache, weights.hifigan, crepe)
    log.info("grain of textures")
    report.textures = texture_grain(model, cache)
    labels = evaluated_labels(cache.sounds)
    report.n_labels = len(labels)
    log.info("clips to judge")
    clips, groups = build_clip_sets(model, cache, labels, embed, n_takes)
    if sheet:
        draw_contact_sheet(clips[REAL], clips[GENERATED], model.card.mel, sheet)
    image_clips: dict[str, list[ImageClip]] = {}
    if sources.images and model.card.image:
        log.info("pictures")
        image_clips = evaluate_images(model, sources, labels, report)
    for features in feature_extractors(model, weights):
        log.info("%s", features.name)
        judge = Judge.train(features, cache, labels, embed)
        score_clips(judge, report, clips, groups)
        score_image_clips(judge, report, image_clips)
    return report


def sentence_embedder(sources: DataPaths) -> Embed | None:
    """Return the sentence encoder, or None where its folder is not named."""
    if sources.minilm is None:
        return None
    encoder = SentenceEncoder(sources.minilm)
    return lambda texts: encoder.encode_cached(list(texts), sources.runs / CACHE_FOLDER)


def feature_extractors(model: Clipsonic, weights: ReferenceWeights) -> list[AudioFeatures]:
    """Return the features to judge by: mel statistics, and SoundNet's where its weights are given."""
    extractors: list[AudioFeatures] = [MelStatistics(model.card.mel)]
    if weights.soundnet:
        extractors.append(SoundNetFeatures.load(weights.soundnet, model.sample_rate))
    return extractors


def text_tower_accuracy(model: Clipsonic, labels: Sequence[str]) -> Metrics:
    """Return top-1 and top-5 of paraphrases that were not trained on, each nearest its own label of all `labels`.

    Paraphrases of labels that the corpus lacks are left out; the result is empty when none is left.
    """
    anchors = np.concatenate([model.embed_text(label, Cancellation()) for label in labels])
    ranks = []
    for prompt, label in read_paraphrases():
        if label in labels:
            similarity = anchors @ model.embed_text(prompt, Cancellation())[0]
            ranks.append(int((similarity > similarity[labels.index(label)]).sum()))
    return {f"top-{k}": bootstrap_mean([rank < k for rank in ranks]) for k in TOP_K} if ranks else {}


def build_clip_sets(
    model: Clipsonic, cache: SoundDataset, labels: Sequence[str], embed: Embed | None, n_takes: int
) -> tuple[ClipSets, ClipGroups]:
    """Return the clips that are judged one by one, and the groups that are judged by how their clips differ.

    Args:
        model: The bundle that generates.
        cache: The corpus.
        labels: The evaluated labels.
        embed: The sentence encoder; without it no clips are searched by caption.
        n_takes: Clips of each label.
    """
    real = corpus_clips(cache, select_test_clips(cache, labels))
    label_prompts = [(label, label) for label in labels]
    paraphrases = [(prompt, label) for prompt, label in read_paraphrases() if label in labels]
    groups: ClipGroups = {
        "recordings of one sound": _recordings(cache, labels),
        "made": generated_from_prompts(model, label_prompts, n_takes),
    }
    clips: ClipSets = {REAL: real, SAME_LABEL: same_label_clips(cache, real)}
    clips["real through the vocoder"] = resynthesised(model, real)
    clips[GENERATED] = generated_for(model, real)
    clips["made from labels"] = [clip for group in groups["made"] for clip in group]
    clips["made from paraphrases"] = [clip for group in generated_from_prompts(model, paraphrases) for clip in group]
    if embed:
        search = CaptionSearch(cache, embed)
        groups["found"] = search.search(label_prompts, n_takes)
        clips["found by caption"] = [hits[0] for hits in search.search([(c.prompt, c.label) for c in real])]
        clips["found by paraphrase"] = [hits[0] for hits in search.search(paraphrases)]
    clips["white noise"] = white_noise_for(real, model.sample_rate)
    return clips, groups


def _recordings(cache: SoundDataset, labels: Sequence[str]) -> list[list[EvalClip]]:
    """Return up to four clips of each label, all of different recordings."""
    groups: dict[str, dict[str, int]] = defaultdict(dict)
    for i, sound in enumerate(cache.sounds):
        if sound.label in labels and len(groups[sound.label]) < MAX_GROUP:
            groups[sound.label].setdefault(sound.recording_id, i)
    return [corpus_clips(cache, group.values()) for group in groups.values()]


def evaluate_images(
    model: Clipsonic, sources: DataPaths, labels: Sequence[str], report: EvaluationReport
) -> dict[str, list[ImageClip]]:
    """Report how well the image tower knows held-out photos, and return clips generated from them, to be judged."""
    photos = held_out(read_pictures(sources.need("images")))
    groups = sorted({picture.group for pictures in photos.values() for picture in pictures})
    report.image_tower = {name: image_tower_metrics(model, pictures, groups) for name, pictures in photos.items()}
    clips: dict[str, list[ImageClip]] = {}
    for name, pictures in photos.items():
        rows = generate_from_pictures(model, select_pictures(pictures, labels), model.card.conditionings)
        clips |= {f"{row}, {name}": row_clips for row, row_clips in rows.items()}
    return clips


def score_image_clips(judge: Judge, report: EvaluationReport, rows: dict[str, list[ImageClip]]) -> None:
    """Report how often one judge names what the pictures of clips show."""
    report.image_clips[judge.features.name] = {
        name: top_k_accuracy(judge.classifiers, judge.clip_features([item.clip for item in clips]), clips)
        for name, clips in rows.items()
    }


def score_clips(judge: Judge, report: EvaluationReport, clips: ClipSets, groups: ClipGroups) -> None:
    """Fill in one judge's part of the report: figures of each set, accuracy by category, and diversity."""
    rows = {name: judge.clip_features(part) for name, part in clips.items()}
    name = judge.features.name
    report.clips[name] = clip_metrics(judge, clips, rows)
    accuracy = {n: judge.top_k_accuracy(rows[n], clips[n])[1] for n in (REAL, GENERATED) if n in clips}
    report.categories[name] = _by_category({n: (clips[n], values) for n, values in accuracy.items()})
    report.diversity[name] = judge.diversity(groups)


def clip_metrics(judge: Judge, clips: ClipSets, rows: dict[str, np.ndarray]) -> dict[str, Metrics]:
    """Return the figures of each set of clips by one judge.

    'top-1' and 'top-5' are accuracies of the classifiers. 'FAD' is given for sets with one clip for each test
    recording, so that sounds and lengths are the same. 'text-audio' needs a sentence encoder. 'nearest' is the
    distance to the nearest training clip, relative to that of test recordings; copies of recordings have none.

    Args:
        judge: One kind of features.
        clips: The sets by their names; `REAL` is one of them.
        rows: The features (n, m) of each set.
    """
    real_windows = judge.window_points(clips[REAL])
    real_distance = nearest_distances(judge.project(rows[REAL]), judge.training_points).mean()
    metrics: dict[str, Metrics] = {}
    for name, part in clips.items():
        accuracy = judge.top_k_accuracy(rows[name], part)
        metrics[name] = {f"top-{k}": bootstrap_mean(accuracy[k]) for k in TOP_K}
        if name != REAL and _is_aligned(part, clips[REAL]):
            metrics[name]["FAD"] = frechet_audio_distance(judge.window_points(part), real_windows)
        if judge.captions:
            scaled = judge.classifiers.scaler.transform(rows[name])
            similarity = judge.captions.similarity(scaled, [clip.prompt for clip in part])
            metrics[name]["text-audio"] = bootstrap_mean(similarity)
        if name == REAL or not any(clip.recording_id for clip in part):
            distances = nearest_distances(judge.project(rows[name]), judge.training_points)
            metrics[name]["nearest"] = bootstrap_mean(distances / real_distance)
    return metrics


def _is_aligned(clips: Sequence[EvalClip], real: Sequence[EvalClip]) -> bool:
    """Return whether there is one clip for each test recording, so that sounds and lengths are the same."""
    return [clip.label for clip in clips] == [clip.label for clip in real]


def _by_category(
    accuracy: dict[str, tuple[list[EvalClip], list[float]]],
) -> dict[str, dict[str, ConfidenceInterval]]:
    """Return category, then set, to the mean of the values of its clips."""
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, (clips, values) in accuracy.items():
        for clip, value in zip(clips, values, strict=True):
            rows[clip.category][name].append(value)
    return {category: {n: bootstrap_mean(v) for n, v in row.items()} for category, row in sorted(rows.items())}
