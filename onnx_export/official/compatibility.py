"""Which parts go together, and the sentences for those that do not."""

from pathlib import Path

from onnx_export.official.denoiser import TaughtDenoiser
from onnx_export.official.prior import LoadedPrior
from onnx_export.official.towers import Towers
from plugin_server.audio.spectral import MelSettings
from plugin_server.engine.bundles.card import Card, Embedding


def check_denoiser(base: Card, towers: Towers | None, denoiser: TaughtDenoiser | None, path: Path | None) -> None:
    """Raises ValueError when the denoiser was taught another embedding than the towers give, or other mels."""
    given = Embedding(towers.name, towers.size) if towers else base.embedding
    taught = denoiser.embedding if denoiser else base.embedding
    if denoiser and denoiser.module.size.n_mels != base.mel.n_mels:
        wanted = f"{base.mel.n_mels}, as {base.name} has"
        raise ValueError(f"denoiser: {path} makes {denoiser.module.size.n_mels} bands, expected {wanted}")
    if given == taught:
        return
    if towers and not denoiser:
        raise ValueError(
            f"towers: {towers.tag} is another embedding than {taught.name}, which the denoiser of {base.name} was "
            f"taught on: train one with `python -m onnx_export train denoiser-iq --videos DIR --config FILE`, where "
            f"embedding.tag is {towers.tag!r}, and name it with --denoiser"
        )
    whose = "--towers" if towers else base.name
    raise ValueError(
        f"denoiser: {path} was taught on {taught.name} of {taught.size} numbers, but the towers of {whose} give "
        f"{given.name} of {given.size}: name those that it was taught on with --towers MODEL:WEIGHTS"
    )


def check_prior(base: Card, towers: Towers | None, prior: LoadedPrior, path: Path) -> None:
    """Raises ValueError when the prior takes other sizes than the text tower gives, or makes another embedding's."""
    width: int | str | None
    if towers:
        whose, size, width, context = towers.name, towers.size, towers.width, towers.context_length
    else:
        shapes = {tensor.name: tensor.shape for tensor in base.graphs["text_tower"].outputs}
        whose, size, context = base.embedding.name, base.embedding.size, base.context_length
        width = shapes["hidden"][-1] if {"projected", "hidden"} <= set(shapes) else None
    takes = (prior.size, prior.projected, prior.width, prior.context_length)
    if takes == (size, size, width, context):
        return
    has = f"{width} for each of {context} tokens" if width else "none for single tokens"
    raise ValueError(
        f"prior: {path} makes {prior.size} numbers of {prior.projected} for the words and {prior.width} for each of "
        f"{prior.context_length} tokens, but {whose} has {size} and {has}: name the towers that it was taught on with "
        "--towers (karlo's: ViT-L-14:openai)"
    )


def check_vocoder(base: Card, mel: MelSettings, path: Path) -> None:
    """Raises ValueError when the vocoder hears other mels than the base makes."""
    if mel != base.mel:
        raise ValueError(
            f"vocoder: {path} hears {_words(mel)}, but {base.name} makes {_words(base.mel)}: choose one of those"
        )


def _words(mel: MelSettings) -> str:
    return (
        f"{mel.n_mels} bands from {mel.f_min_hz:g} to {mel.f_max_hz:g} Hz of sound at {mel.sample_rate} Hz, "
        f"window {mel.n_fft}, hop {mel.hop}"
    )
