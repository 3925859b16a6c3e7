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
    """CLAP's, or that of text and image tower."""
    sees: bool = False
    """The image tower goes along."""
    priors: tuple[str, ...] = ()
    """Ways that go along: 'pd', 'sd'."""
    via: str = ""
    """The usual way of words; the straight one when empty."""
    helped: bool = True
    """Prompts are drawn near the sounds that were taught, and clips get their colours."""
    sampling: Sampling = field(default_factory=Sampling)
    lengths: Lengths = field(default_factory=Lengths)


# A mel has hundreds of frames that tell the same thing, so what it is gets settled while nearly all is noise.
SAMPLING = Sampling(
    shift=6.0, steps=8, guidance=2.0, distilled_guidance_max=6.0, mel_rounds=6, band_statistics_spread=0.3
)
MINI = Variant(
    name="clipsonic-mini",
    description="CLIPSonic in small: words and pictures to sound, trained on 4.9 hours of free recordings",
    sees=True,
    priors=("pd",),
    sampling=SAMPLING,
)
IQ = Variant(
    name="clipsonic-iq",
    description="CLIPSonic as published, in small: taught on pictures alone; words by ZS, PD and SD",
    denoiser="denoiser-iq",
    sees=True,
    priors=("pd", "sd"),
    helped=False,
    sampling=SAMPLING,
)
TTA = Variant(
    name="clipsonic-tta",
    description="CLIP-TTA, in small: taught on words alone",
    denoiser="denoiser-tta",
    helped=False,
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
