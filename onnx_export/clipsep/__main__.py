"""`python -m onnx_export.clipsep CHECKPOINT`: figures of a separator on recordings that it was not trained on."""

import argparse
from pathlib import Path

import torch

from onnx_export.clipsep.evaluation import EXAM, SeparationFigures, evaluate_separator
from onnx_export.clipsep.mixtures import MixtureSampler, SeparationData
from onnx_export.clipsep.separator import Separator, SeparatorSize
from onnx_export.clipsep.spectrum import StftSettings
from onnx_export.clipsonic.training.conditioning import load_condition_tables
from onnx_export.clipsonic.training.datasets import CACHE_FOLDER
from onnx_export.data.sounds import open_sound_dataset, read_catalog
from onnx_export.training.checkpoint import load_ema
from plugin_server.audio.spectral import MelSettings


def main() -> None:
    """Print the figures as a table of Markdown."""
    parser = argparse.ArgumentParser(prog="python -m onnx_export.clipsep", description="Figures of a separator.")
    parser.add_argument("checkpoint", type=Path, help="separator.pt or separator.half.pt")
    parser.add_argument("--corpus", type=Path, required=True, help="folder with catalog.csv and its sounds")
    parser.add_argument("--conditions", type=Path, required=True, help="a file of python -m onnx_export conditions")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of caches (default: runs)")
    parser.add_argument("--batches", type=int, default=20, help="batches of ten mixtures (default: 20)")
    options = parser.parse_args()
    settings = StftSettings()
    separator = Separator(SeparatorSize(), settings)
    load_ema(options.checkpoint, separator)
    dataset = open_sound_dataset(read_catalog(options.corpus), options.runs / CACHE_FOLDER, MelSettings())
    tables = load_condition_tables(options.conditions)
    sampler = MixtureSampler(SeparationData(dataset, tables["text"]), EXAM, settings, torch.device("cpu"), split="test")
    print(table(evaluate_separator(separator, sampler, {}, tables.get("image", {}), options.batches)))


def table(figures: SeparationFigures) -> str:
    """Return the figures as lines of Markdown."""
    rows = [
        f"| {name} | {value.mean:.2f} | {value.median:.2f} | {value.clipped_mean:.2f} | {value.better:.0%} |"
        for name, value in figures.improvements.items()
    ]
    head = ["| asked by | SI-SDR improvement, mean, dB | median | clipped mean | better |", "|---|---|---|---|---|"]
    absent = f"An absent sound's answer lies {-figures.absent_db:.1f} dB below the mixture (median)."
    return "\n".join([*head, *rows, "", f"{absent} Presence: AUC {figures.presence_auc:.2f}."])


if __name__ == "__main__":
    main()
