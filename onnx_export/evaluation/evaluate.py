"""Figures of a bundle on recordings it was not trained on: what judges hear in its clips, beside what they hear in
recordings, in copies of training clips, and in noise."""

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
    Embed,
    Heard,
    Search,
    made_from,
    made_like,
    noise_like,
    of_cache,
    pick_test_clips,
    read_paraphrases,
    revoiced,
    same_sounds,
)
from onnx_export.evaluation.distances import Components, Value, frechet_of_clips, mean_of, nearest, spread
from onnx_export.evaluation.figures import draw_sheet
from onnx_export.evaluation.image_metrics import Shown, hits, judge_image_tower, judged_pictures, show
from onnx_export.evaluation.judges import Ear, Listeners, OwnEar, Scale, SoundNetEar, concepts, describe_all
from onnx_export.evaluation.references.crepe import load_crepe
from onnx_export.evaluation.report import Report
from onnx_export.evaluation.vocoders import compare_vocoders
from plugin_server.engine.bundles.card_reader import read_card
from plugin_server.engine.bundles.registry import Bundle, verify_bundle
from plugin_server.engine.families.clipsonic import Clipsonic, load
from plugin_server.engine.sessions import Cancellation, SessionOptions

log = logging.getLogger(__name__)

REAL, SAME, MADE = "real test recordings", "training recordings of the same sounds", "made from captions"
RIDGE = 1000.0
"""Of the map from descriptions to sentences: by the validation split the best of 30, 100, 300, 1000, 3000 and 10000."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Files of judges and references that are no part of the project; each may be missing."""

    soundnet: Path | None = None
    hifigan: Path | None = None
    crepe: Path | None = None


def evaluate_bundle(folder: Path, sources: DataPaths, weights: Weights, n_takes: int, sheet: Path | None) -> Report:
    """Every figure that the given files allow. Raises BundleDamaged; ValueError for a file that is another."""
    bundle = Bundle(folder, read_card(folder))
    verify_bundle(bundle)
    model, cache = load(bundle, SessionOptions()), sources.sound_dataset()
    embed = sentences_of(sources)
    report = Report(f"{bundle.card.name} {bundle.card.version}")
    log.info("text tower")
    report.tower = judge_tower(model, sorted({sound.label for sound in cache.sounds}))
    log.info("vocoder")
    crepe = load_crepe(weights.crepe) if weights.crepe else None
    report.vocoder = compare_vocoders(model, cache, weights.hifigan, crepe)
    labels = concepts(cache)
    report.n_concepts = len(labels)
    log.info("playlists")
    played, takes = playlists(model, cache, labels, embed, n_takes)
    if sheet:
        draw_sheet(played[REAL], played[MADE], model.card.mel, sheet)
    shown: dict[str, list[Shown]] = {}
    if sources.images and model.card.image:
        log.info("pictures")
        shown = look(model, sources, labels, report)
    for ear in ears(model, weights):
        log.info("%s", ear.name)
        judge = judge_by(ear, report, cache, labels, played, takes, embed)
        judge_shown(judge, report, shown)
    return report


def sentences_of(sources: DataPaths) -> Embed | None:
    """The sentence encoder, where its folder is named."""
    if sources.minilm is None:
        return None
    encoder = SentenceEncoder(sources.minilm)
    return lambda texts: encoder.encode_cached(list(texts), sources.runs / CACHE_FOLDER)


def ears(model: Clipsonic, weights: Weights) -> list[Ear]:
    """Those whose weights there are."""
    own: list[Ear] = [OwnEar(model.card.mel)]
    return own + ([SoundNetEar.read(weights.soundnet, model.sample_rate)] if weights.soundnet else [])


def judge_tower(model: Clipsonic, labels: Sequence[str]) -> dict[str, Value]:
    """Top-1 and top-5 of paraphrases that no lesson held; those of labels that the corpus lacks are left out."""
    anchors = np.concatenate([model.embed(label, Cancellation()) for label in labels])
    ranks = []
    for prompt, label in read_paraphrases():
        if label in labels:
            likeness = anchors @ model.embed(prompt, Cancellation())[0]
            ranks.append(int((likeness > likeness[labels.index(label)]).sum()))
    return {f"top-{k}": mean_of([rank < k for rank in ranks]) for k in (1, 5)} if ranks else {}


Played = dict[str, list[Heard]]
Takes = dict[str, list[list[Heard]]]


def playlists(
    model: Clipsonic, cache: SoundDataset, labels: Sequence[str], embed: Embed | None, n_takes: int
) -> tuple[Played, Takes]:
    """What is judged one by one, and what is judged by how takes of one prompt differ."""
    real = of_cache(cache, pick_test_clips(cache, labels))
    named = [(label, label) for label in labels]
    said = [(prompt, label) for prompt, label in read_paraphrases() if label in labels]
    takes: Takes = {"recordings of one sound": _recordings(cache, labels), "made": made_from(model, named, n_takes)}
    played: Played = {REAL: real, SAME: same_sounds(cache, real), "real through the vocoder": revoiced(model, real)}
    played[MADE] = made_like(model, real)
    played["made from labels"] = [take for group in takes["made"] for take in group]
    played["made from paraphrases"] = [take for group in made_from(model, said) for take in group]
    if embed:
        search = Search(cache, embed)
        takes["found"] = search.find(named, n_takes)
        played["found by caption"] = [hits[0] for hits in search.find([(c.prompt, c.label) for c in real])]
        played["found by paraphrase"] = [hits[0] for hits in search.find(said)]
    played["white noise"] = noise_like(real)
    return played, takes


def _recordings(cache: SoundDataset, labels: Sequence[str]) -> list[list[Heard]]:
    """Up to four clips of each label, all of different recordings."""
    groups: dict[str, dict[str, int]] = defaultdict(dict)
    for i, sound in enumerate(cache.sounds):
        if sound.label in labels and len(groups[sound.label]) < 4:
            groups[sound.label].setdefault(sound.recording_id, i)
    return [of_cache(cache, group.values()) for group in groups.values()]


def look(model: Clipsonic, sources: DataPaths, labels: Sequence[str], report: Report) -> dict[str, list[Shown]]:
    """What the image tower knows of held-out photos, into the report; and clips made of them, to be judged."""
    photos = held_out(read_pictures(sources.need("images")))
    groups = sorted({picture.group for rows in photos.values() for picture in rows})
    report.pictures = {name: judge_image_tower(model, rows, groups) for name, rows in photos.items()}
    shown: dict[str, list[Shown]] = {}
    for name, rows in photos.items():
        made = show(model, judged_pictures(rows, labels), model.card.conditionings)
        shown |= {f"{row}, {name}": clips for row, clips in made.items()}
    return shown


def judge_shown(judge: "Judge", report: Report, shown: dict[str, list[Shown]]) -> None:
    """Whether one ear hears in clips what the pictures show."""
    report.shown[judge.ear.name] = {
        name: hits(judge.listeners, describe_all([clip.heard.wave for clip in clips], judge.ear.clip), clips)
        for name, clips in shown.items()
    }


def judge_by(
    ear: Ear,
    report: Report,
    cache: SoundDataset,
    labels: Sequence[str],
    played: Played,
    takes: Takes,
    embed: Embed | None,
) -> "Judge":
    """Fill in one ear's part of the report; gives back the judge."""
    judge = Judge.train(ear, cache, labels, embed)
    rows = {name: describe_all([clip.wave for clip in clips], ear.clip) for name, clips in played.items()}
    windows = {
        name: [judge.components(judge.pieces(ear.windows(c.wave))) for c in played[name]] for name in _aligned(played)
    }
    ordinary = nearest(judge.place(rows[REAL]), judge.training).mean()
    figures = report.heard[ear.name] = {}
    for name, clips in played.items():
        hits = judge.hits(rows[name], clips)
        figures[name] = {f"top-{k}": mean_of(hits[k]) for k in (1, 5)}
        if name in windows and name != REAL:
            figures[name]["FAD"] = frechet_of_clips(windows[name], windows[REAL])
        if judge.to_sentence is not None and embed:
            figures[name]["text-audio"] = mean_of(judge.text_scores(rows[name], clips, embed))
        if not any(clip.recording_id and name != REAL for clip in clips):
            figures[name]["nearest"] = mean_of(nearest(judge.place(rows[name]), judge.training) / ordinary)
    report.categories[ear.name] = _by_category(
        {name: (played[name], judge.hits(rows[name], played[name])[1]) for name in (REAL, MADE) if name in played}
    )
    report.diversity[ear.name] = judge.diversity(takes)
    return judge


def _aligned(played: Played) -> list[str]:
    """Those with one clip for each test recording, so that sounds and lengths are the same."""
    return [name for name, clips in played.items() if [c.label for c in clips] == [c.label for c in played[REAL]]]


def _by_category(hits: dict[str, tuple[list[Heard], list[float]]]) -> dict[str, dict[str, Value]]:
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, (clips, found) in hits.items():
        for clip, hit in zip(clips, found, strict=True):
            rows[clip.category][name].append(hit)
    return {category: {n: mean_of(v) for n, v in row.items()} for category, row in sorted(rows.items())}


@dataclass(frozen=True, slots=True)
class Judge:
    """One ear with what it has learnt from the training split."""

    ear: Ear
    listeners: Listeners
    pieces: Scale
    components: Components
    """Of windows, for Fréchet distances."""
    of_clips: Components
    """Of whole clips, for distances between them."""
    training: np.ndarray
    """Places of the training clips, (n, components)."""
    to_sentence: np.ndarray | None
    """(m + 1, 384): a linear map from a description to its caption's sentence vector."""
    sentence_mean: np.ndarray | None

    @classmethod
    def train(cls, ear: Ear, cache: SoundDataset, labels: Sequence[str], embed: Embed | None) -> "Judge":
        """On training recordings of the judged concepts."""
        mine = [i for i in cache.indices("train") if cache.sounds[i].label in labels]
        rows = describe_all([cache.wave(i) for i in mine], ear.clip)
        listeners = Listeners.train(rows, [cache.sounds[i] for i in mine])
        pieces = np.concatenate([ear.windows(cache.wave(i)) for i in mine[::3]])
        scale = Scale.measure(pieces)
        scaled = listeners.scale(rows)
        of_clips = Components.measure(scaled)
        mean: np.ndarray | None = None
        to_sentence: np.ndarray | None = None
        if embed:
            vectors = embed([cache.sounds[i].caption for i in mine])
            mean = vectors.mean(axis=0)
            to_sentence = _ridge(scaled, vectors - mean)
        return cls(
            ear, listeners, scale, Components.measure(scale(pieces)), of_clips, of_clips(scaled), to_sentence, mean
        )

    def place(self, rows: np.ndarray) -> np.ndarray:
        """(n, components) of descriptions (n, m)."""
        return self.of_clips(self.listeners.scale(rows))

    def hits(self, rows: np.ndarray, clips: Sequence[Heard]) -> dict[int, list[float]]:
        """For k of 1 and 5: share of the listeners, of those that may judge it, that have each clip's label among
        their first k."""
        ranks = self.listeners.ranks(rows, [c.label for c in clips], [c.recording_id for c in clips])
        return {k: [float((row[row >= 0] < k).mean()) for row in ranks] for k in (1, 5)}

    def text_scores(self, rows: np.ndarray, clips: Sequence[Heard], embed: Embed) -> np.ndarray:
        """Cosine between the sentence that each sound maps to and its prompt, both around the mean sentence, (n,):
        what the CLAP score is to CLAP."""
        scaled = self.listeners.scale(rows)
        heard = np.column_stack([scaled, np.ones(len(scaled))]) @ self.to_sentence
        said = embed([clip.prompt for clip in clips]) - self.sentence_mean
        return (heard * said).sum(1) / (np.linalg.norm(heard, axis=1) * np.linalg.norm(said, axis=1))

    def diversity(self, takes: Takes) -> dict[str, Value]:
        """Mean distance between takes, relative to that between recordings of one sound."""
        spreads = {
            name: spread([self.place(describe_all([c.wave for c in group], self.ear.clip)) for group in groups])
            for name, groups in takes.items()
        }
        usual = np.mean(next(iter(spreads.values())))
        return {name: mean_of(np.array(values) / usual) for name, values in spreads.items() if values}


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Ridge regression with a constant: (m + 1, k) from (n, m) and (n, k)."""
    x = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    return np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
