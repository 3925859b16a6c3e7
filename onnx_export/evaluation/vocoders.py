"""How much of a recording survives mel spectrogram and vocoder, beside two references."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soxr
import torch

from onnx_export.clipsonic.models.vocoder import Vocoder, VocoderSize
from onnx_export.clipsonic.training.adversarial.losses import spectral_loss
from onnx_export.data.sounds import SoundDataset
from onnx_export.evaluation.grain import grain, modulation_distance
from onnx_export.evaluation.references.crepe import Crepe, Pitch, pitch_error, track_pitch
from onnx_export.evaluation.references.hifigan import load_hifigan, resynthesise
from onnx_export.training.checkpoint import load_ema, read_average
from plugin_server.audio.spectral import MelSettings, istft, log_mel, mel_filterbank, stft
from plugin_server.engine.families.clipsonic import Clipsonic
from plugin_server.engine.sessions import Cancellation

log = logging.getLogger(__name__)

EXCERPT_S = 3.0
MAX_PER_CATEGORY = 5
MIN_SOURCE_RATE_HZ = 40_000
"""Recordings from sources of less bandwidth are left out: they would flatter whoever makes no highs."""
HALF_MEL = MelSettings(sample_rate=22050, n_fft=1024, hop=256, n_mels=128, f_max_hz=11025.0)
"""The mel that all three vocoders can reach: at HiFi-GAN's rate."""

Resynthesis: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""A recording to its copy through a vocoder, both mono at the corpus' rate."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Mean errors of one vocoder over the recordings of one category."""

    mel: float
    """L1 of the log-mel up to 22 kHz."""
    mel_half: float
    """L1 of the log-mel up to 11 kHz at 22,050 Hz."""
    stft: float
    """Multi-resolution STFT loss (Yamamoto et al. 2020)."""
    cents: float | None
    """Median pitch error; None where nothing had a sure pitch."""
    grain: float = 1.0
    """Grain of the copies as a share of the recordings'."""
    modulation: float = 0.0
    """Distance of the modulation spectra."""


def griffin_lim(target: np.ndarray, mel: MelSettings, rounds: int = 32) -> np.ndarray:
    """Return samples of a log-mel (n_mels, frames) by phase reconstruction (Griffin and Lim 1984)."""
    magnitude = np.maximum(np.linalg.pinv(mel_filterbank(mel)) @ np.exp(target), 0)
    phase = np.exp(2j * np.pi * np.random.default_rng(0).random(magnitude.shape))
    for _ in range(rounds):
        spectrum = stft(istft(magnitude * phase, mel), mel)
        phase = spectrum / np.maximum(np.abs(spectrum), 1e-9)
    return istft(magnitude * phase, mel)


def vocoders_of(model: Clipsonic, hifigan: Path | None, checkpoints: Sequence[Path] = ()) -> dict[str, Resynthesis]:
    """Return the vocoders to compare by name.

    These are the bundle's own, also without the rounds of `match_mel` where it has some, those of checkpoints,
    Griffin-Lim from the same mel, and HiFi-GAN from its own mel where its weights are given.
    """
    mel = model.card.mel
    vocoders: dict[str, Resynthesis] = {"vocoder": partial(_by_bundle, model)}
    if model.gives_spectrum and model.card.sampling.mel_rounds:
        plain = replace(model, card=replace(model.card, sampling=replace(model.card.sampling, mel_rounds=0)))
        vocoders["vocoder, mel not matched"] = partial(_by_bundle, plain)
    for path in checkpoints:
        vocoders[str(path)] = partial(_by_network, _load_vocoder(path, mel), mel)
    vocoders["Griffin-Lim, 32 rounds"] = lambda wave: griffin_lim(log_mel(wave, mel), mel)
    if hifigan:
        network = load_hifigan(hifigan)
        vocoders["HiFi-GAN universal"] = lambda wave: soxr.resample(
            resynthesise(network, wave, mel.sample_rate), 22050, mel.sample_rate
        )
    return vocoders


def _by_bundle(model: Clipsonic, wave: np.ndarray) -> np.ndarray:
    return model.vocode(log_mel(wave, model.card.mel), Cancellation())


def _by_network(vocoder: Vocoder, mel: MelSettings, wave: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return vocoder.waveform(torch.from_numpy(log_mel(wave, mel))[None])[0].numpy()


def _load_vocoder(path: Path, mel: MelSettings) -> Vocoder:
    """Load the averaged weights of a checkpoint. Raises ValueError where there is none."""
    if not path.exists():
        raise ValueError(f"{path} is not there, expected a vocoder's checkpoint")
    vocoder = Vocoder(mel, VocoderSize.of_weights(read_average(path)))
    log.info("%s: step %d", path, load_ema(path, vocoder))
    return vocoder


def compare_vocoders(
    model: Clipsonic,
    cache: SoundDataset,
    hifigan: Path | None,
    crepe: Crepe | None,
    checkpoints: Sequence[Path] = (),
    max_per_category: int = MAX_PER_CATEGORY,
) -> dict[str, dict[str, Fidelity]]:
    """Return by category, then vocoder, its errors on test recordings; 'all' is the mean of the categories.

    Args:
        model: The bundle whose vocoder is measured.
        cache: The corpus.
        hifigan: Weights of HiFi-GAN, to compare with.
        crepe: The pitch tracker; without it there are no errors of pitch.
        checkpoints: Trained vocoders that are measured beside the bundle's.
        max_per_category: Recordings of each category.
    """
    mel = model.card.mel
    vocoders, rows = vocoders_of(model, hifigan, checkpoints), {}
    for category, waves in sorted(_excerpts(cache, mel.sample_rate, max_per_category).items()):
        pitches = [track_pitch(crepe, wave, mel.sample_rate) for wave in waves] if crepe else None
        rows[category] = {name: measure(vocoder, waves, mel, crepe, pitches) for name, vocoder in vocoders.items()}
        log.info("%s: %.3f", category, rows[category]["vocoder"].mel)
    rows["all"] = {name: _mean([row[name] for row in rows.values()]) for name in vocoders}
    return rows


def _excerpts(cache: SoundDataset, sample_rate: int, max_per_category: int) -> Mapping[str, list[np.ndarray]]:
    """Return by category the beginnings of a few test recordings from sources with full bandwidth."""
    excerpts: dict[str, list[np.ndarray]] = defaultdict(list)
    for i in cache.indices("test"):
        sound = cache.sounds[i]
        if sound.source_rate_hz >= MIN_SOURCE_RATE_HZ and len(excerpts[sound.category]) < max_per_category:
            excerpts[sound.category].append(cache.wave(i)[: round(EXCERPT_S * sample_rate)])
    return excerpts


def measure(
    vocoder: Resynthesis,
    waves: list[np.ndarray],
    mel: MelSettings,
    crepe: Crepe | None = None,
    pitches: list[Pitch] | None = None,
) -> Fidelity:
    """Return the mean errors of one vocoder over some recordings.

    Args:
        vocoder: The resynthesis to measure.
        waves: Mono recordings at the mel's rate.
        mel: The mel whose difference is measured.
        crepe: The pitch tracker.
        pitches: The recordings' own pitches, tracked once for all vocoders.
    """
    mel_errors, half_errors, stft_losses, cents = [], [], [], []
    grains: list[tuple[float, float]] = []
    modulations = []
    for i, wave in enumerate(waves):
        copy = vocoder(wave)
        n = min(len(wave), len(copy))
        real, copy = wave[:n], copy[:n].astype(np.float32)
        copy_mel, real_mel = log_mel(copy, mel), log_mel(real, mel)
        mel_errors.append(np.abs(copy_mel - real_mel).mean())
        grains.append((grain(copy_mel), grain(real_mel)))
        modulations.append(modulation_distance(copy_mel, real_mel))
        low = [log_mel(soxr.resample(x, mel.sample_rate, HALF_MEL.sample_rate), HALF_MEL) for x in (copy, real)]
        half_errors.append(np.abs(low[0] - low[1]).mean())
        stft_losses.append(float(spectral_loss(*(torch.from_numpy(x.copy())[None] for x in (copy, real)))))
        if crepe and pitches:
            cents.append(pitch_error(crepe, pitches[i], copy, mel.sample_rate))
    all_cents = np.concatenate(cents) if cents else np.zeros(0)
    mel_error, half_error, loss = (float(np.mean(values)) for values in (mel_errors, half_errors, stft_losses))
    copied, recorded = np.sum(grains, axis=0)
    return Fidelity(
        mel_error,
        half_error,
        loss,
        float(np.median(all_cents)) if len(all_cents) else None,
        float(copied / recorded) if recorded else 1.0,
        float(np.mean(modulations)),
    )


def _mean(rows: list[Fidelity]) -> Fidelity:
    cents = [row.cents for row in rows if row.cents is not None]
    names = ("mel", "mel_half", "stft", "grain", "modulation")
    means = {name: float(np.mean([getattr(row, name) for row in rows])) for name in names}
    return Fidelity(cents=float(np.mean(cents)) if cents else None, **means)
