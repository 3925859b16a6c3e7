"""`python -m onnx_export draw`: a picture of what a bundle makes of prompts."""

import argparse
from pathlib import Path

from onnx_export.commands.arguments import Subparsers, load_model


def add(subparsers: Subparsers) -> None:
    """Declare the command and its arguments."""
    parser = subparsers.add_parser("draw", help="a picture of what a bundle makes of prompts")
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("prompts", nargs="+", metavar="PROMPT", help="words, or files of pictures, all of one kind")
    parser.add_argument("--seed", type=int, default=1, help="of every clip (default: 1)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Generate a clip for each prompt, and draw their spectrograms; below its image where the prompts are files."""
    from onnx_export.data.images import read_rgb
    from onnx_export.evaluation.clip_sets import CLIP_SECONDS, generate
    from onnx_export.evaluation.figures import draw_image_clips, draw_row

    model, files = load_model(options.bundle), [Path(prompt) for prompt in options.prompts]
    if all(file.is_file() for file in files):
        waves = [generate(model, "", CLIP_SECONDS, options.seed, images=(str(file),)) for file in files]
        images = [read_rgb(file) for file in files]
        titles = [file.stem for file in files]
        draw_image_clips(list(zip(images, titles, waves, strict=True)), model.card.mel, options.picture)
        return
    clips = {prompt: generate(model, prompt, CLIP_SECONDS, options.seed) for prompt in options.prompts}
    draw_row(clips, model.card.mel, options.picture)
