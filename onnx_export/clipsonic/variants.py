"""The bundles that can be made of some runs: the one that ships, and the paper's variants (Dong et al. 2023)."""

from dataclasses import dataclass, field, replace

from onnx_export.clipsonic.embedding_names import CLAP_EMBEDDING, CLIPSONIC_EMBEDDING
from plugin_server.engine.bundles.card import Lengths, Sampling

LICENCE = "CC BY-SA 4.0 for the weights; see ATTRIBUTIONS.md for the sounds and pictures behind them"


@dataclass(frozen=True, slots=True)
class Variant:
    """The parts of a bundle, its description, and how it is meant to be used."""

    name: str
    description: str
    version: str = "0.2.0"
    licence: str = LICENCE
    denoiser: str = "denoiser"
    """Name of its run."""
    embedding: str = CLIPSONIC_EMBEDDING
    """The contrastive model's embedding, or that of text and image tower."""
    has_image_tower: bool = False
    priors: tuple[str, ...] = ()
    """Priors in the bundle: 'pd', 'sd'."""
    via: str = ""
    """Default conditioning of words, the card's `via`; the text tower's own embedding when empty."""
    uses_label_anchors: bool = True
    """Prompts are pulled to the sounds that were trained on, and clips get their band statistics."""
    sampling: Sampling = field(default_factory=Sampling)
    lengths: Lengths = field(default_factory=Lengths)


# A mel has hundreds of frames that are alike, so the sound is decided while nearly all is noise.
SAMPLING = Sampling(
    shift=6.0, steps=8, guidance=2.0, distilled_guidance_max=6.0, mel_rounds=6, band_statistics_spread=0.3
)
MINI_SIGMAS = (1.0, 0.96, 0.89, 0.77, 0.6, 0.38, 0.14, 0.0)
"""The first steps decide what the sound is, the last make its grain."""
MINI = Variant(
    name="clipsonic-mini",
    description="CLIPSonic in small: words and pictures to sound, trained on 4.9 hours of free recordings",
    version="0.3.0",
    has_image_tower=True,
    priors=("pd",),
    sampling=replace(SAMPLING, steps=7, sigmas=MINI_SIGMAS, band_statistics_share=0.5, mel_rounds=2),
)
IQ = Variant(
    name="clipsonic-iq",
    description="CLIPSonic as published, in small: taught on pictures alone; words by ZS, PD and SD",
    denoiser="denoiser-iq",
    has_image_tower=True,
    priors=("pd", "sd"),
    uses_label_anchors=False,
    sampling=SAMPLING,
)
TTA = Variant(
    name="clipsonic-tta",
    description="CLIP-TTA, in small: taught on words alone",
    denoiser="denoiser-tta",
    uses_label_anchors=False,
    sampling=SAMPLING,
)
CLAP_TTA = replace(
    TTA,
    name="clipsonic-clap-tta",
    description="CLAP-TTA, in small: taught on words where a model of words and sounds has them",
    denoiser="denoiser-clap-tta",
    embedding=CLAP_EMBEDDING,
)
VARIANTS = {variant.name: variant for variant in (MINI, IQ, TTA, CLAP_TTA)}
