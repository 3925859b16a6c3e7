"""Checks that parts go together, and the sentences for those that do not."""

from pathlib import Path

from onnx_export.official.denoiser import LoadedDenoiser
from onnx_export.official.prior import LoadedPrior
from onnx_export.official.towers import Towers
from plugin_server.audio.spectral import MelSettings
from plugin_server.engine.bundles.card import Card, Embedding


def check_denoiser(base: Card, towers: Towers | None, denoiser: LoadedDenoiser | None, path: Path | None) -> None:
    """Check that the denoiser was trained on the embedding that the towers give, and on the base's mels.

    Args:
        base: The card of the bundle that other parts come from.
        towers: The new towers; the base's stay where there are none.
        denoiser: The new denoiser; the base's stays where there is none.
        path: The new denoiser's file.

    Raises:
        ValueError: When it was trained on another embedding, or makes other mels.
    """
    given = Embedding(towers.name, towers.size) if towers else base.embedding
    expected = denoiser.embedding if denoiser else base.embedding
    if denoiser and denoiser.module.size.n_mels != base.mel.n_mels:
        bands = f"{base.mel.n_mels}, as {base.name} has"
        raise ValueError(f"denoiser: {path} makes {denoiser.module.size.n_mels} bands, expected {bands}")
    if given == expected:
        return
    if towers and not denoiser:
        raise ValueError(
            f"towers: {towers.tag} is another embedding than {expected.name}, which the denoiser of {base.name} was "
            f"taught on: train one with `python -m onnx_export train denoiser-iq --videos DIR --config FILE`, where "
            f"embedding.tag is {towers.tag!r}, and name it with --denoiser"
        )
    tower_source = "--towers" if towers else base.name
    raise ValueError(
        f"denoiser: {path} was taught on {expected.name} of {expected.size} numbers, but the towers of "
        f"{tower_source} give {given.name} of {given.size}: name those that it was taught on "
        "with --towers MODEL:WEIGHTS"
    )


def check_prior(base: Card, towers: Towers | None, prior: LoadedPrior, path: Path) -> None:
    """Check that the prior takes what the text tower gives, and makes vectors of its embedding.

    Args:
        base: The card of the bundle that other parts come from.
        towers: The new towers; the base's stay where there are none.
        prior: The new prior.
        path: The new prior's folder.

    Raises:
        ValueError: When the prior takes other sizes than the text tower gives, or makes another embedding's.
    """
    width: int | str | None
    if towers:
        name, size, width, context = towers.name, towers.size, towers.width, towers.context_length
    else:
        shapes = {tensor.name: tensor.shape for tensor in base.graphs["text_tower"].outputs}
        name, size, context = base.embedding.name, base.embedding.size, base.context_length
        width = shapes["hidden"][-1] if {"projected", "hidden"} <= set(shapes) else None
    prior_sizes = (prior.size, prior.projected, prior.width, prior.context_length)
    if prior_sizes == (size, size, width, context):
        return
    states = f"{width} for each of {context} tokens" if width else "none for single tokens"
    raise ValueError(
        f"prior: {path} makes {prior.size} numbers of {prior.projected} for the words and {prior.width} for each of "
        f"{prior.context_length} tokens, but {name} has {size} and {states}: name the towers that it was taught on "
        "with --towers (karlo's: ViT-L-14:openai)"
    )


def check_vocoder(base: Card, mel: MelSettings, path: Path) -> None:
    """Check that the vocoder takes the mels that the base makes. Raises ValueError when it takes others."""
    if mel != base.mel:
        raise ValueError(
            f"vocoder: {path} hears {_mel_text(mel)}, but {base.name} makes {_mel_text(base.mel)}: choose one of those"
        )


def _mel_text(mel: MelSettings) -> str:
    return (
        f"{mel.n_mels} bands from {mel.f_min_hz:g} to {mel.f_max_hz:g} Hz of sound at {mel.sample_rate} Hz, "
        f"window {mel.n_fft}, hop {mel.hop}"
    )
