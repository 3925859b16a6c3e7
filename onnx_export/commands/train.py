"""`python -m onnx_export train`: one trainer a network. Each has its checkpoint among the runs, under its name."""

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from onnx_export.clipsonic.embedding_names import CLIPSONIC_EMBEDDING
from onnx_export.commands.arguments import Subparsers, add_data_arguments, add_video_arguments, read_data_paths

if TYPE_CHECKING:
    from onnx_export.clipsonic.training.conditioning import Conditioning
    from onnx_export.clipsonic.training.datasets import DataPaths
    from onnx_export.clipsonic.training.denoiser import DenoiserTraining
    from onnx_export.clipsonic.training.prior import EmbeddingPairs
    from onnx_export.data.sounds import SoundDataset
    from onnx_export.training.run import TrainingRun


CONFIG_HELP = "shape of the network and its training as TOML; with --videos, as in configs/"
VIDEO_NETWORK = "denoiser-iq"
"""The network that real videos train."""

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
"""Units of a time on the command line, in seconds."""
DISTILLATION_SHARE = (6, 10)
"""Part of a variant's steps, as a fraction, that come before guidance is distilled."""


C = TypeVar("C")
Trainer: TypeAlias = "Callable[[argparse.Namespace, DataPaths, TrainingRun], None]"


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("train", help="train one network; run again to go on where it stopped")
    parser.add_argument("network", choices=tuple(TRAINERS))
    parser.add_argument("--steps", type=int, help="steps in all, those done before included (or as --config says)")
    parser.add_argument("--budget", type=seconds, metavar="TIME", help="90s, 9m or 1h of training, in place of --steps")
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument("--threads", type=int, help="processor threads")
    parser.add_argument("--videos", type=Path, help="denoiser-iq: folder of videos, in place of corpus and pictures")
    add_video_arguments(parser, config_required=False, config_help=CONFIG_HELP)
    parser.add_argument("--seed", type=int, help="of all that is random (default: the checkpoint's, or a new one)")
    parser.add_argument("--backbone", type=Path, help="denoisers, vocoder: begin with this checkpoint")
    parser.add_argument("--conditions", type=Path, help="denoiser, separator: a file of the command conditions")
    parser.add_argument("--adversarial-from", type=int, help="vocoder: first step with discriminators")
    parser.add_argument("--denoiser", type=Path, help="vocoder: checkpoint whose mels it is trained on too, once there")
    add_data_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train the network that the options name."""
    train(options, read_data_paths(options))


def train(options: argparse.Namespace, paths: "DataPaths") -> None:
    """Train one network, from where it stopped. Raises ValueError where a source or --steps is missing."""
    if options.videos and options.network != VIDEO_NETWORK:
        raise ValueError(f"--videos teach {VIDEO_NETWORK} alone, not {options.network}")
    if options.steps and options.budget:
        raise ValueError("--budget stands in place of --steps: expected one of them")
    if not options.steps and not options.config and not options.budget:
        raise ValueError("--steps is needed: how many in all, those done before included; or --budget")
    import torch

    from onnx_export.training.run import TrainingRun, allow_fast_products

    limit_threads(options.threads)
    allow_fast_products(torch.device(options.device))
    path = options.runs / f"{options.network}.pt"
    device = torch.device(options.device)
    run = TrainingRun(path, device, options.seed, options.workers, options.backbone, budget_s=options.budget)
    TRAINERS[options.network](options, paths, run)


def seconds(text: str) -> float:
    """Return a time such as '90s', '9m' or '1h' in seconds. Raises ArgumentTypeError when it is none."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in UNITS_S else (text, "s")
    try:
        value = float(number) * UNITS_S[unit]
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a time such as 90s, 9m or 1h")
    return value


def limit_threads(n: int | None) -> None:
    """Limit the processor threads of PyTorch; it takes as many as it likes where `n` is None."""
    import torch

    if n:
        torch.set_num_threads(n)


def _configure(options: argparse.Namespace, defaults: C) -> C:
    """Return the settings of --config, or the defaults, with --steps in place of theirs where it is given.

    `defaults` is a dataclass with a field `training`; the file has a table for each of its fields.
    """
    config: Any = defaults
    if options.config:
        from onnx_export.config import read_tables

        config = read_tables(options.config, type(defaults))
    if options.steps:
        config = replace(config, training=replace(config.training, steps=options.steps))
    return config


def _train_text(options: argparse.Namespace, paths: "DataPaths", run: "TrainingRun") -> None:
    from onnx_export.clipsonic.configs import TextConfig
    from onnx_export.clipsonic.training.datasets import TextTargets
    from onnx_export.clipsonic.training.text_tower import train_text

    config = _configure(options, TextConfig())
    targets = TextTargets(paths, paths.sounds())
    train_text(targets.distillation_sets(), targets.token_vectors(), config.text, config.training, run)


def _train_image(options: argparse.Namespace, paths: "DataPaths", run: "TrainingRun") -> None:
    from onnx_export.clipsonic.configs import ImageConfig
    from onnx_export.clipsonic.models.image_tower import ImageNetTeacher
    from onnx_export.clipsonic.training.datasets import load_text_tower
    from onnx_export.clipsonic.training.image_tower import ImageTeachers, train_image

    config = _configure(options, ImageConfig())
    imagenet = ImageNetTeacher(paths.need("imagenet"))
    teachers = ImageTeachers(load_text_tower(options.runs / "text.pt"), imagenet)
    train_image(paths.pictures(), teachers, config.image, config.training, run, paths.held_out_pictures())


def _train_clap(options: argparse.Namespace, paths: "DataPaths", run: "TrainingRun") -> None:
    from onnx_export.clipsonic.configs import ClapConfig
    from onnx_export.clipsonic.training.clap import train_clap
    from onnx_export.clipsonic.training.datasets import text_conditioning

    config = _configure(options, ClapConfig())
    dataset = replace(paths, mel=config.mel).sound_dataset()
    train_clap(text_conditioning(dataset, paths), config.clap, config.training, run)


def _train_vocoder(options: argparse.Namespace, paths: "DataPaths", run: "TrainingRun") -> None:
    from onnx_export.clipsonic.configs import VocoderConfig
    from onnx_export.clipsonic.training.vocoder import train_vocoder

    config = _configure(options, VocoderConfig())
    training = config.training
    if options.adversarial_from is not None:
        training = replace(training, adversarial_from=options.adversarial_from)
    run = replace(run, denoiser=options.denoiser)
    train_vocoder(replace(paths, mel=config.mel).sound_dataset(), config.vocoder, training, run)


def _train_denoiser(options: argparse.Namespace, paths: "DataPaths", run: "TrainingRun") -> None:
    """Train on words; with pictures, on either at random."""
    from onnx_export.clipsonic.training.conditioning import MixedConditioning, load_conditions
    from onnx_export.clipsonic.training.datasets import image_conditioning, text_conditioning
    from onnx_export.clipsonic.training.denoiser import DenoiserTraining

    def conditioning(dataset: "SoundDataset") -> "Conditioning":
        if options.conditions:
            return load_conditions(options.conditions, dataset)
        words = text_conditioning(dataset, paths)
        return MixedConditioning(words, image_conditioning(dataset, paths)) if paths.images else words

    _train_on_sounds(options, paths, run, conditioning, DenoiserTraining())


def _train_denoiser_iq(options: argparse.Namespace, paths: "DataPaths", run: "TrainingRun") -> None:
    """Train on frames of videos, or without any on pictures as if the sounds had been filmed."""
    from onnx_export.clipsonic.training.datasets import image_conditioning

    if options.videos:
        _train_on_videos(options, run)
        return
    _train_on_sounds(options, paths, run, lambda dataset: image_conditioning(dataset, paths), _variant(options))


def _train_denoiser_clap_tta(options: argparse.Namespace, paths: "DataPaths", run: "TrainingRun") -> None:
    """Train on words as the contrastive model of words and sounds has them."""
    from onnx_export.clipsonic.embedding_names import CLAP_EMBEDDING
    from onnx_export.clipsonic.training.datasets import clap_conditioning

    def conditioning(dataset: "SoundDataset") -> "Conditioning":
        return clap_conditioning(dataset, paths)

    _train_on_sounds(options, paths, run, conditioning, _variant(options), CLAP_EMBEDDING)


def _variant(options: argparse.Namespace) -> "DenoiserTraining":
    """Return hyperparameters that are short, and gentle with the backbone.

    Guidance is distilled once the condition is known.
    """
    from onnx_export.clipsonic.training.denoiser import DenoiserTraining

    part, whole = DISTILLATION_SHARE
    training = DenoiserTraining(learning_rate=5e-4)
    steps = options.steps or training.steps
    return replace(training, steps=steps, guidance_distillation_from=steps * part // whole)


def _train_on_sounds(
    options: argparse.Namespace,
    paths: "DataPaths",
    run: "TrainingRun",
    condition: "Callable[[SoundDataset], Conditioning]",
    training: "DenoiserTraining",
    embedding: str = CLIPSONIC_EMBEDDING,
) -> None:
    """Train a denoiser on the catalogue, which is read once: `condition` is given the dataset it has embeddings for."""
    from onnx_export.clipsonic.configs import DenoiserConfig
    from onnx_export.clipsonic.training.denoiser import train_denoiser
    from onnx_export.clipsonic.training.resident.train import train_resident_denoiser

    config = _configure(options, DenoiserConfig(training=training))
    conditioning = condition(replace(paths, mel=config.mel).sound_dataset())
    size = replace(config.denoiser, n_embedding=conditioning.size)
    train = train_resident_denoiser if config.training.resident else train_denoiser
    train(conditioning, size, config.training, run, embedding)


def _train_on_videos(options: argparse.Namespace, run: "TrainingRun") -> None:
    from onnx_export.clipsonic.training.conditioning import FrameConditioning
    from onnx_export.clipsonic.training.denoiser import train_denoiser
    from onnx_export.config import read_config
    from onnx_export.video.features import extract_features

    if not options.config:
        raise ValueError("--config is needed with --videos: what the network is, as in configs/")
    config = read_config(options.config)
    videos = extract_features(options.videos, options.list, config, options.runs, options.device, options.workers)
    training = replace(config.training, steps=options.steps or config.training.steps)
    train_denoiser(FrameConditioning(videos), config.denoiser, training, run, videos.embedding)


def _train_prior_pd(options: argparse.Namespace, paths: "DataPaths", run: "TrainingRun") -> None:
    """Train on pictures and their captions alone."""
    from onnx_export.clipsonic.training.datasets import load_text_tower

    tower = load_text_tower(paths.runs / "text.pt")
    held_out = paths.held_out_image_dataset()
    _train_prior(
        options, run, paths.image_dataset().caption_pairs(tower), held_out.caption_pairs(tower) if held_out else None
    )


def _train_prior_sd(options: argparse.Namespace, paths: "DataPaths", run: "TrainingRun") -> None:
    """Train on the pairs of the data: wordings of sounds, and pictures of their sources."""
    from onnx_export.clipsonic.training.datasets import text_conditioning

    wordings = text_conditioning(paths.sound_dataset(), paths).embeddings
    _train_prior(options, run, paths.image_dataset().sound_pairs(wordings), None)


def _train_prior(
    options: argparse.Namespace, run: "TrainingRun", pairs: "EmbeddingPairs", held_out: "EmbeddingPairs | None"
) -> None:
    from onnx_export.clipsonic.configs import PriorConfig
    from onnx_export.clipsonic.training.prior import train_prior

    config = _configure(options, PriorConfig())
    train_prior(pairs, config.prior, config.training, run, CLIPSONIC_EMBEDDING, held_out)


def _train_separator(options: argparse.Namespace, paths: "DataPaths", run: "TrainingRun") -> None:
    """Train on mixtures of the catalogue's sounds, asked for by words, and by pictures where some are given."""
    from onnx_export.clipsep.config import SeparatorConfig
    from onnx_export.clipsep.mixtures import SeparationData
    from onnx_export.clipsep.training import train_separator
    from onnx_export.clipsonic.training.conditioning import load_condition_tables
    from onnx_export.clipsonic.training.datasets import text_conditioning

    config = _configure(options, SeparatorConfig())
    dataset = paths.sound_dataset()
    if options.conditions:
        tables = load_condition_tables(options.conditions)
    else:
        tables = {"text": dict(text_conditioning(dataset, paths).embeddings)}
        tables |= {"image": paths.image_dataset().by_sound_label()} if paths.images else {}
    data = SeparationData(dataset, tables["text"], tables.get("image"))
    size = replace(config.separator, n_embedding=next(iter(data.words.values())).shape[1])
    train_separator(data, size, config.training, run, CLIPSONIC_EMBEDDING)


TRAINERS: dict[str, Trainer] = {
    "text": _train_text,
    "image": _train_image,
    "clap": _train_clap,
    "vocoder": _train_vocoder,
    "denoiser": _train_denoiser,
    "denoiser-iq": _train_denoiser_iq,
    "denoiser-clap-tta": _train_denoiser_clap_tta,
    "prior-pd": _train_prior_pd,
    "prior-sd": _train_prior_sd,
    "separator": _train_separator,
}
"""Networks that can be trained, by name."""
