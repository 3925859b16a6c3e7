"""Figures of a bundle: its vocoder, its text tower, and what a listener hears in its clips."""

import csv
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from onnx_export.clipsonic.lessons import Sources
from onnx_export.corpus import Cache
from onnx_export.listener import Listener, describe
from plugin_server.audio.spectral import MelSettings, istft, log_mel, mel_filterbank, stft
from plugin_server.engine.bundles import Bundle, verify_bundle
from plugin_server.engine.card import read_card
from plugin_server.engine.families.clipsonic import Clipsonic, load
from plugin_server.engine.order import TakeOrder
from plugin_server.engine.sessions import Cancellation, SessionOptions

log = logging.getLogger(__name__)

PARAPHRASES = Path(__file__).parent / "paraphrases.csv"
CLIP_SECONDS = 5.0


@dataclass(slots=True)
class Share:
    """How often something was so, with its 95 % interval (Wilson 1927)."""

    hits: int
    n: int

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.hits / max(1, self.n):.2f} ({low:.2f} to {high:.2f}, n {self.n})"

    def interval(self) -> tuple[float, float]:
        """Lower and upper bound."""
        n, z = max(1, self.n), 1.96
        p = self.hits / n
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return float(middle - half), float(middle + half)


@dataclass(slots=True)
class Report:
    """All figures."""

    vocoder: dict[str, dict[str, float]] = field(default_factory=dict)
    """Category to log-mel L1 of the vocoder and of Griffin-Lim on test recordings."""
    tower: dict[str, Share] = field(default_factory=dict)
    """How often a paraphrase lies nearest its own label among all labels."""
    listener: dict[str, dict[str, Share]] = field(default_factory=dict)
    """What was played to top-1 and top-5."""
    n_concepts: int = 0
    diversity: float = 0.0
    """Mean distance between takes of one prompt, relative to that between real recordings of one label."""

    def to_json(self) -> str:
        """Text of a file."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def table(self) -> str:
        """Markdown."""
        lines = ["| log-mel L1 on test recordings | vocoder | Griffin-Lim, 32 rounds |", "|---|---|---|"]
        lines += [f"| {name} | {row['vocoder']:.3f} | {row['griffin_lim']:.3f} |" for name, row in self.vocoder.items()]
        lines += ["", "| text tower, paraphrases among all labels | share |", "|---|---|"]
        lines += [f"| {name} | {share} |" for name, share in self.tower.items()]
        lines += ["", f"| listener, {self.n_concepts} concepts | top-1 | top-5 |", "|---|---|---|"]
        lines += [f"| {name} | {row['top-1']} | {row['top-5']} |" for name, row in self.listener.items()]
        return "\n".join([*lines, "", f"Diversity between takes, relative to real recordings: {self.diversity:.2f}"])


def evaluate_bundle(folder: Path, sources: Sources, n_takes: int) -> Report:
    """Every figure, on recordings of the test split. Raises BundleDamaged."""
    bundle = Bundle(folder, read_card(folder))
    verify_bundle(bundle)
    model, cache, report = load(bundle, SessionOptions()), sources.cache(), Report()
    log.info("vocoder")
    report.vocoder = compare_vocoders(model, cache)
    log.info("text tower")
    report.tower = judge_tower(model, sorted({sound.label for sound in cache.sounds}))
    log.info("listener")
    listener = Listener.train(cache)
    report.n_concepts = len(listener.labels)
    judge_clips(report, model, cache, listener, n_takes)
    return report


def compare_vocoders(model: Clipsonic, cache: Cache, per_category: int = 6) -> dict[str, dict[str, float]]:
    """Log-mel L1 between a test recording and its resynthesis from the mel alone, by category."""
    chosen: dict[str, list[int]] = defaultdict(list)
    for i in cache.indices("test"):
        sound = cache.sounds[i]
        if sound.source_rate_hz >= 40_000 and len(chosen[sound.category]) < per_category:
            chosen[sound.category].append(i)
    mel, rows = model.card.mel, {}
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "vocoder": lambda target: model.vocode(target, Cancellation()),
        "griffin_lim": lambda target: griffin_lim(target, mel),
    }
    for category, indices in sorted(chosen.items()):
        targets = [log_mel(cache.wave(i)[: 4 * mel.sample_rate], mel) for i in indices]
        rows[category] = {
            name: float(np.mean([np.abs(log_mel(way(target), mel) - target).mean() for target in targets]))
            for name, way in ways.items()
        }
    rows["all"] = {name: float(np.mean([row[name] for row in rows.values()])) for name in ways}
    return rows


def griffin_lim(target: np.ndarray, mel: MelSettings, rounds: int = 32) -> np.ndarray:
    """Samples of a log-mel (n_mels, frames) by phase reconstruction (Griffin and Lim 1984), the plain reference."""
    magnitude = np.maximum(np.linalg.pinv(mel_filterbank(mel)) @ np.exp(target), 0)
    phase = np.exp(2j * np.pi * np.random.default_rng(0).random(magnitude.shape))
    for _ in range(rounds):
        spectrum = stft(istft(magnitude * phase, mel), mel)
        phase = spectrum / np.maximum(np.abs(spectrum), 1e-9)
    return istft(magnitude * phase, mel)


def judge_tower(model: Clipsonic, labels: Sequence[str]) -> dict[str, Share]:
    """Top-1 and top-5 of paraphrases that no lesson held."""
    anchors = np.concatenate([model.embed(label, Cancellation()) for label in labels])
    ranks = []
    for prompt, label in read_paraphrases():
        likeness = anchors @ model.embed(prompt, Cancellation())[0]
        ranks.append(int((likeness > likeness[labels.index(label)]).sum()))
    return {name: Share(sum(rank < k for rank in ranks), len(ranks)) for name, k in (("top-1", 1), ("top-5", 5))}


def read_paraphrases() -> list[tuple[str, str]]:
    """(prompt, label) pairs written for this test."""
    with open(PARAPHRASES, newline="", encoding="utf-8") as file:
        return [(row["prompt"], row["label"]) for row in csv.DictReader(file)]


def judge_clips(report: Report, model: Clipsonic, cache: Cache, listener: Listener, n_takes: int) -> None:
    """What the listener hears in real recordings, in their resynthesis, and in clips made from words."""
    real = [i for i in cache.indices("test") if cache.sounds[i].label in listener.labels]
    mels = {i: cache.mel(i) for i in real}
    names = {i: cache.sounds[i].label for i in real}
    _hear(report, "real test recordings", listener, [(mels[i], names[i]) for i in real])
    again = [(_remake(model, mels[i]), names[i]) for i in real]
    _hear(report, "the same through the vocoder", listener, again)
    takes = {label: [make_mel(model, label, seed) for seed in range(n_takes)] for label in listener.labels}
    made = [(mel, label) for label, mels in takes.items() for mel in mels]
    _hear(report, "clips made from labels", listener, made)
    known = [(prompt, label) for prompt, label in read_paraphrases() if label in listener.labels]
    said = [(make_mel(model, prompt, seed), label) for prompt, label in known for seed in range(n_takes)]
    _hear(report, "clips made from paraphrases", listener, said)
    noise = np.random.default_rng(0)
    white = log_mel(noise.standard_normal(5 * model.sample_rate) * 0.1, model.card.mel).T
    _hear(report, "white noise", listener, [(white, label) for label in listener.labels])
    report.diversity = _spread(listener, takes) / _spread(listener, _by_label(mels, names))


def make_mel(model: Clipsonic, prompt: str, seed: int) -> np.ndarray:
    """Log-mel (frames, n_mels) of a clip's waveform, so that the vocoder's part in it is heard too."""
    sampling = model.card.sampling
    order = TakeOrder(prompt, "", CLIP_SECONDS, seed, sampling.steps, sampling.guidance)
    samples = model.run(order, lambda fraction, stage: None, Cancellation())[:, 0]
    return log_mel(samples, model.card.mel).T


def _remake(model: Clipsonic, mel: np.ndarray) -> np.ndarray:
    return log_mel(model.vocode(mel.T.astype(np.float32), Cancellation()), model.card.mel).T


def _hear(report: Report, name: str, listener: Listener, played: Sequence[tuple[np.ndarray, str]]) -> None:
    ranks = [listener.rank(mel, label) for mel, label in played]
    report.listener[name] = {f"top-{k}": Share(sum(rank < k for rank in ranks), len(ranks)) for k in (1, 5)}
    log.info("%s: top-1 %s", name, report.listener[name]["top-1"])


def _by_label(mels: dict[int, np.ndarray], names: dict[int, str]) -> dict[str, list[np.ndarray]]:
    groups: dict[str, list[np.ndarray]] = defaultdict(list)
    for i, mel in mels.items():
        groups[names[i]].append(mel)
    return groups


def _spread(listener: Listener, groups: dict[str, list[np.ndarray]]) -> float:
    """Mean distance between two sounds of one group, in the listener's own measures."""
    distances = []
    for mels in groups.values():
        rows = [(describe(mel) - listener.mean) / listener.std for mel in mels[:4]]
        distances += [float(np.linalg.norm(a - b)) for k, a in enumerate(rows) for b in rows[:k]]
    return float(np.mean(distances))
