"""What `python -m onnx_export train` does, by network. Each has its checkpoint among the runs, under its name."""

import argparse
from dataclasses import replace
from pathlib import Path

from onnx_export.commands.arguments import Subparsers, add_data_arguments, add_video_arguments, read_data_paths

VIDEO_NETWORK = "denoiser-iq"
"""What real videos teach."""


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("train", help="train one network; run again to go on where it stopped")
    parser.add_argument("network", choices=tuple(TRAINERS))
    parser.add_argument("--steps", type=int, help="steps in all, those done before included (or as --config says)")
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument("--threads", type=int, help="processor threads")
    parser.add_argument("--videos", type=Path, help="denoiser-iq: folder of videos, in place of corpus and pictures")
    add_video_arguments(parser, config_required=False)
    parser.add_argument("--backbone", type=Path, help="denoisers: begin with this checkpoint, its conditions forgotten")
    parser.add_argument("--adversarial-from", type=int, help="vocoder: first step with discriminators")
    add_data_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train the network that the options name."""
    train(options, read_data_paths(options))


def train(options: argparse.Namespace, sources) -> None:
    """One network, from where it stopped. Raises ValueError where a source or --steps is missing."""
    if options.videos and options.network != VIDEO_NETWORK:
        raise ValueError(f"--videos teach {VIDEO_NETWORK} alone, not {options.network}")
    if not options.steps and not (options.videos and options.config):
        raise ValueError("--steps is needed: how many in all, those done before included")
    import torch

    limit_threads(options.threads)
    path = options.runs / f"{options.network}.pt"
    TRAINERS[options.network](sources, options, path, torch.device(options.device))


def limit_threads(n: int | None) -> None:
    """Of PyTorch; as many as it likes when not told."""
    import torch

    if n:
        torch.set_num_threads(n)


def _train_text(sources, options: argparse.Namespace, path: Path, device) -> None:
    from onnx_export.clipsonic.models.text_tower import TextTowerSize
    from onnx_export.clipsonic.training.datasets import TextTargets
    from onnx_export.clipsonic.training.text_tower import TextTraining, train_text

    material = TextTargets(sources)
    training = TextTraining(steps=options.steps)
    train_text(material.lessons(), material.word_vectors(), TextTowerSize(), training, path, device)


def _train_denoiser(sources, options: argparse.Namespace, path: Path, device) -> None:
    """On words; with pictures, on either at random."""
    from onnx_export.clipsonic.training.conditioning import Conditioning, MixedConditioning
    from onnx_export.clipsonic.training.datasets import image_conditioning, text_conditioning
    from onnx_export.clipsonic.training.denoiser import DenoiserTraining

    conditions: Conditioning = text_conditioning(sources)
    if sources.images:
        conditions = MixedConditioning(conditions, image_conditioning(sources))
    _teach(sources, options, path, device, conditions, DenoiserTraining(steps=options.steps))


def _train_iq(sources, options: argparse.Namespace, path: Path, device) -> None:
    """On frames of videos, or without any on pictures as if they had been filmed."""
    from onnx_export.clipsonic.training.datasets import image_conditioning

    if options.videos:
        _train_on_videos(options, path, device)
    else:
        _teach(sources, options, path, device, image_conditioning(sources), _training_of_variant(options))


def _train_on_videos(options: argparse.Namespace, path: Path, device) -> None:
    from onnx_export.clipsonic.training.conditioning import FrameConditioning
    from onnx_export.clipsonic.training.denoiser import train_denoiser
    from onnx_export.config import read_config
    from onnx_export.video.features import extract_features

    if not options.config:
        raise ValueError("--config is needed with --videos: what the network is, as in configs/")
    config = read_config(options.config)
    videos = extract_features(options.videos, options.list, config, options.runs, options.device, options.workers)
    training = replace(config.training, steps=options.steps or config.training.steps)
    conditions = FrameConditioning(videos, videos.n_embedding)
    train_denoiser(
        videos,
        conditions,
        config.mel,
        config.denoiser,
        training,
        path,
        device,
        videos.embedding,
        options.backbone,
        options.workers,
    )


def _train_clap_tta(sources, options: argparse.Namespace, path: Path, device) -> None:
    """On words where the contrastive model of words and sounds has them."""
    from onnx_export.clipsonic.embedding_names import CLAP_EMBEDDING
    from onnx_export.clipsonic.training.datasets import clap_conditioning

    _teach(sources, options, path, device, clap_conditioning(sources), _training_of_variant(options), CLAP_EMBEDDING)


def _training_of_variant(options: argparse.Namespace):
    """Short, and gentle with the backbone; guidance is taught once the condition is known."""
    from onnx_export.clipsonic.training.denoiser import DenoiserTraining

    return DenoiserTraining(steps=options.steps, guide_from=options.steps * 6 // 10, learning_rate=5e-4)


def _teach(sources, options: argparse.Namespace, path: Path, device, conditions, training, embedding="") -> None:
    from onnx_export.clipsonic.embedding_names import CLIPSONIC_EMBEDDING
    from onnx_export.clipsonic.models.denoiser import DenoiserSize
    from onnx_export.clipsonic.training.denoiser import train_denoiser
    from plugin_server.audio.spectral import MelSettings

    train_denoiser(
        sources.sound_dataset(),
        conditions,
        MelSettings(),
        DenoiserSize(n_embedding=conditions.size),
        training,
        path,
        device,
        embedding or CLIPSONIC_EMBEDDING,
        options.backbone,
    )


def _train_clap(sources, options: argparse.Namespace, path: Path, device) -> None:
    from onnx_export.clipsonic.models.clap import ClapSize
    from onnx_export.clipsonic.training.clap import ClapTraining, train_clap
    from onnx_export.clipsonic.training.datasets import text_conditioning

    training = ClapTraining(steps=options.steps)
    train_clap(sources.sound_dataset(), text_conditioning(sources), ClapSize(), training, path, device)


def _train_prior_pd(sources, options: argparse.Namespace, path: Path, device) -> None:
    """On pictures and their captions alone."""
    from onnx_export.clipsonic.training.datasets import load_text_tower

    tower = load_text_tower(sources.runs / "text.pt")
    _teach_prior(sources.image_dataset().captioned(tower), options, path, device)


def _train_prior_sd(sources, options: argparse.Namespace, path: Path, device) -> None:
    """On the pairs of the data."""
    from onnx_export.clipsonic.training.datasets import text_conditioning

    _teach_prior(sources.image_dataset().scored(text_conditioning(sources).embeddings), options, path, device)


def _teach_prior(pairs, options: argparse.Namespace, path: Path, device) -> None:
    from onnx_export.clipsonic.embedding_names import CLIPSONIC_EMBEDDING
    from onnx_export.clipsonic.models.prior import PriorSize
    from onnx_export.clipsonic.training.prior import PriorTraining, train_prior

    train_prior(pairs, PriorSize(), PriorTraining(steps=options.steps), path, device, CLIPSONIC_EMBEDDING)


def _train_vocoder(sources, options: argparse.Namespace, path: Path, device) -> None:
    from onnx_export.clipsonic.models.vocoder import VocoderSize
    from onnx_export.clipsonic.training.vocoder import VocoderTraining, train_vocoder
    from plugin_server.audio.spectral import MelSettings

    training = VocoderTraining(steps=options.steps)
    if options.adversarial_from is not None:
        training = replace(training, adversarial_from=options.adversarial_from)
    train_vocoder(sources.sound_dataset(), MelSettings(), VocoderSize(), training, path, device)


def _train_image(sources, options: argparse.Namespace, path: Path, device) -> None:
    from onnx_export.clipsonic.models.image_tower import ImageNetTeacher, ImageTowerSize
    from onnx_export.clipsonic.training.datasets import load_text_tower
    from onnx_export.clipsonic.training.image_tower import ImageTraining, train_image

    training = ImageTraining(steps=options.steps)
    teacher, texts = ImageNetTeacher(sources.need("imagenet")), load_text_tower(options.runs / "text.pt")
    train_image(sources.pictures(), texts, teacher, ImageTowerSize(), training, path, device)


TRAINERS = {
    "text": _train_text,
    "image": _train_image,
    "clap": _train_clap,
    "vocoder": _train_vocoder,
    "denoiser": _train_denoiser,
    "denoiser-iq": _train_iq,
    "denoiser-clap-tta": _train_clap_tta,
    "prior-pd": _train_prior_pd,
    "prior-sd": _train_prior_sd,
}
"""By network."""
