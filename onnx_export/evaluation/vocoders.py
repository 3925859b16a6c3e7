"""How much of a recording survives mel spectrogram and vocoder, beside two references."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch

from onnx_export.clipsonic.training.vocoder import spectral_loss
from onnx_export.data.sounds import SoundDataset
from onnx_export.evaluation.references.crepe import Crepe, pitch_error, track_pitch
from onnx_export.evaluation.references.hifigan import load_hifigan, resynthesise
from plugin_server.audio.spectral import MelSettings, istft, log_mel, mel_filterbank, stft
from plugin_server.engine.families.clipsonic import Clipsonic
from plugin_server.engine.sessions import Cancellation

log = logging.getLogger(__name__)

EXCERPT_S = 3.0
PER_CATEGORY = 5
HALF = MelSettings(sample_rate=22050, n_fft=1024, hop=256, n_mels=128, f_max_hz=11025.0)
"""What all three vocoders can reach: HiFi-GAN's rate."""

Pitch = tuple[np.ndarray, np.ndarray]
Way = Callable[[np.ndarray], np.ndarray]
"""A recording to its resynthesis, both mono at the corpus' rate."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Mean errors of one vocoder over the recordings of one category."""

    mel: float
    """L1 of the log-mel up to 22 kHz."""
    mel_half: float
    """The same up to 11 kHz at 22,050 Hz."""
    stft: float
    """Multi-resolution STFT loss (Yamamoto et al. 2020)."""
    cents: float | None
    """Median pitch error; None where nothing had a sure pitch."""


def griffin_lim(target: np.ndarray, mel: MelSettings, rounds: int = 32) -> np.ndarray:
    """Samples of a log-mel (n_mels, frames) by phase reconstruction (Griffin and Lim 1984), the plain reference."""
    magnitude = np.maximum(np.linalg.pinv(mel_filterbank(mel)) @ np.exp(target), 0)
    phase = np.exp(2j * np.pi * np.random.default_rng(0).random(magnitude.shape))
    for _ in range(rounds):
        spectrum = stft(istft(magnitude * phase, mel), mel)
        phase = spectrum / np.maximum(np.abs(spectrum), 1e-9)
    return istft(magnitude * phase, mel)


def ways_of(model: Clipsonic, hifigan: Path | None) -> dict[str, Way]:
    """The bundle's vocoder, Griffin-Lim from the same mel, and HiFi-GAN from its own where its weights are given."""
    mel = model.card.mel
    ways: dict[str, Way] = {
        "vocoder": lambda wave: model.vocode(log_mel(wave, mel), Cancellation()),
        "Griffin-Lim, 32 rounds": lambda wave: griffin_lim(log_mel(wave, mel), mel),
    }
    if hifigan:
        network = load_hifigan(hifigan)
        ways["HiFi-GAN universal"] = lambda wave: soxr.resample(
            resynthesise(network, wave, mel.sample_rate), 22050, mel.sample_rate
        )
    return ways


def compare_vocoders(
    model: Clipsonic, cache: SoundDataset, hifigan: Path | None, crepe: Crepe | None
) -> dict[str, dict[str, Fidelity]]:
    """Category, then vocoder, to its errors on test recordings; 'all' is the mean of the categories."""
    mel = model.card.mel
    ways, rows = ways_of(model, hifigan), {}
    for category, waves in sorted(_excerpts(cache, mel.sample_rate).items()):
        pitches = [track_pitch(crepe, wave, mel.sample_rate) for wave in waves] if crepe else None
        rows[category] = {name: _fidelity(way, waves, mel, crepe, pitches) for name, way in ways.items()}
        log.info("%s: %.3f", category, rows[category]["vocoder"].mel)
    rows["all"] = {name: _mean([row[name] for row in rows.values()]) for name in ways}
    return rows


def _excerpts(cache: SoundDataset, sample_rate: int) -> Mapping[str, list[np.ndarray]]:
    """Of sources with full bandwidth: others would flatter whoever makes no highs."""
    chosen: dict[str, list[np.ndarray]] = defaultdict(list)
    for i in cache.indices("test"):
        sound = cache.sounds[i]
        if sound.source_rate_hz >= 40_000 and len(chosen[sound.category]) < PER_CATEGORY:
            chosen[sound.category].append(cache.wave(i)[: round(EXCERPT_S * sample_rate)])
    return chosen


def _fidelity(
    way: Way, waves: list[np.ndarray], mel: MelSettings, crepe: Crepe | None, pitches: list[Pitch] | None
) -> Fidelity:
    """`pitches` are the waves' own, found once for all vocoders."""
    errors, halves, losses, cents = [], [], [], []
    for i, wave in enumerate(waves):
        made = way(wave)
        n = min(len(wave), len(made))
        real, made = wave[:n], made[:n].astype(np.float32)
        errors.append(np.abs(log_mel(made, mel) - log_mel(real, mel)).mean())
        low = [log_mel(soxr.resample(x, mel.sample_rate, HALF.sample_rate), HALF) for x in (made, real)]
        halves.append(np.abs(low[0] - low[1]).mean())
        losses.append(float(spectral_loss(*(torch.from_numpy(x.copy())[None] for x in (made, real)))))
        if crepe and pitches:
            cents.append(pitch_error(crepe, pitches[i], made, mel.sample_rate))
    flat = np.concatenate(cents) if cents else np.zeros(0)
    whole, half, loss = (float(np.mean(values)) for values in (errors, halves, losses))
    return Fidelity(whole, half, loss, float(np.median(flat)) if len(flat) else None)


def _mean(rows: list[Fidelity]) -> Fidelity:
    cents = [row.cents for row in rows if row.cents is not None]
    mel, half, loss = (float(np.mean([getattr(row, name) for row in rows])) for name in ("mel", "mel_half", "stft"))
    return Fidelity(mel, half, loss, float(np.mean(cents)) if cents else None)
