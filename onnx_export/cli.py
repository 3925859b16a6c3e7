"""`python -m onnx_export`: train, export and evaluate, one parser for all."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from onnx_export.commands.train import TRAINERS, limit_threads, train
from plugin_server.errors import ClipsonicError
from plugin_server.settings import SHIPPED_BUNDLES, bundle_folders


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it worked, 1 with a sentence on standard error when it did not."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # The exporter tells every node it folds.
    logging.getLogger("onnxscript").setLevel(logging.WARNING)
    logging.getLogger("onnx_ir").setLevel(logging.WARNING)
    try:
        options.run(options)
    except (ClipsonicError, ValueError, OSError) as error:
        print(f"onnx_export: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m onnx_export", description="Train, export and evaluate models.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_features(commands)
    _add_estimate(commands)
    resume = commands.add_parser("resume", help="a bundle's networks as checkpoints, to go on from")
    resume.add_argument("bundle", type=Path, help="the bundle's folder")
    resume.add_argument("--runs", type=Path, default=Path("runs"), help="folder without checkpoints (default: runs)")
    resume.add_argument("--at", type=int, default=0, help="steps that count as done (default: 0)")
    resume.set_defaults(run=_resume)
    export = commands.add_parser("export", help="checkpoints to a bundle, compared with PyTorch graph by graph")
    export.add_argument("name", choices=("clipsonic-mini", "clipsonic-iq", "clipsonic-tta", "clipsonic-clap-tta"))
    export.add_argument("--out", type=Path, default=SHIPPED_BUNDLES, help="folder that gets the bundle's folder")
    _add_sources(export)
    export.set_defaults(run=_export)
    _add_import(commands)
    evaluate = commands.add_parser("evaluate", help="figures of a bundle on recordings it was not trained on")
    evaluate.add_argument("bundle", type=Path, help="the bundle's folder")
    evaluate.add_argument("--takes", type=int, default=3, help="clips made from each label (default: 3)")
    evaluate.add_argument("--threads", type=int, help="processor threads of the judges")
    evaluate.add_argument("--json", type=Path, help="also write the figures here")
    evaluate.add_argument("--sheet", type=Path, help="draw recordings beside made clips here, their sounds in a folder")
    for name, what in (
        ("soundnet", "sound8.npy: a judge that was not trained here"),
        ("hifigan", "generator_universal.pth.tar: a vocoder to compare with"),
        ("crepe", "tiny.pth: for errors of pitch"),
    ):
        evaluate.add_argument(f"--{name}", type=Path, help=what)
    _add_sources(evaluate)
    evaluate.set_defaults(run=_evaluate)
    compare = commands.add_parser("compare", help="the paper's variants side by side")
    compare.add_argument("bundles", type=Path, help="folder of their bundles")
    compare.add_argument("--soundnet", type=Path, help="sound8.npy: a judge that was not trained here")
    compare.add_argument("--json", type=Path, help="also write the figures here")
    _add_sources(compare)
    compare.set_defaults(run=_compare)
    probe = commands.add_parser("probe", help="does the right label explain a noised sound best, in each split?")
    probe.add_argument("bundle", type=Path, help="the bundle's folder")
    probe.add_argument("--clips", type=int, default=40, help="of each split (default: 40)")
    probe.add_argument("--sigma", type=float, nargs="+", default=[0.9], help="noise levels, 0 to 1 (default: 0.9)")
    _add_sources(probe)
    probe.set_defaults(run=_probe)
    draw = commands.add_parser("draw", help="a picture of what a bundle makes of prompts")
    draw.add_argument("bundle", type=Path, help="the bundle's folder")
    draw.add_argument("picture", type=Path, help="PNG file to write")
    draw.add_argument("prompts", nargs="+", metavar="PROMPT", help="words, or files of pictures, all of one kind")
    draw.add_argument("--seed", type=int, default=1, help="of every clip (default: 1)")
    draw.set_defaults(run=_draw)
    return parser


def _add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("train", help="train one network; run again to go on where it stopped")
    parser.add_argument("network", choices=tuple(TRAINERS))
    parser.add_argument("--steps", type=int, help="steps in all, those done before included (or as --config says)")
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument("--threads", type=int, help="processor threads")
    parser.add_argument("--videos", type=Path, help="denoiser-iq: folder of videos, in place of corpus and pictures")
    _add_watching(parser, config_needed=False)
    parser.add_argument("--backbone", type=Path, help="denoisers: begin with this checkpoint, its conditions forgotten")
    parser.add_argument("--adversarial-from", type=int, help="vocoder: first step with discriminators")
    _add_sources(parser)
    parser.set_defaults(run=_train)


def _add_features(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("features", help="what training on videos needs of them; run again to go on")
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos")
    _add_watching(parser, config_needed=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that gets them (default: runs)")
    parser.add_argument("--device", default="cpu", help="torch device of the embedding (default: cpu)")
    parser.set_defaults(run=_features)


def _add_estimate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("estimate", help="memory and time that a configured training takes")
    parser.add_argument("--config", type=Path, required=True, help="embedding, network and training, as in configs/")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="what is measured (default: cpu)")
    parser.add_argument("--tflops", type=float, default=300, help="sustained by the device thought of (default: 300)")
    parser.set_defaults(run=_estimate)


def _add_watching(parser: argparse.ArgumentParser, config_needed: bool) -> None:
    parser.add_argument("--list", type=Path, nargs="+", default=[], help="lists of VGGSound or MUSIC that name them")
    parser.add_argument(
        "--config", type=Path, required=config_needed, help="embedding, network and training on videos, as in configs/"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that read videos (default: 1)")


def _add_import(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("import", help="a bundle out of another one and official weights")
    parser.add_argument("name", help="of the new bundle")
    parser.add_argument("--base", default="clipsonic-mini", help="bundle, or its folder (default: clipsonic-mini)")
    parser.add_argument(
        "--towers",
        metavar="MODEL:WEIGHTS",
        help="CLIP's: one of open_clip's models or a JSON file, and a tag or a file, as ViT-L-14:openai",
    )
    parser.add_argument("--prior", type=Path, metavar="FOLDER", help="an unCLIP prior in diffusers' layout")
    parser.add_argument("--vocoder", type=Path, metavar="FOLDER_OR_FILE", help="BigVGAN's config.json and weights")
    parser.add_argument("--denoiser", type=Path, metavar="CHECKPOINT", help="of: train denoiser, denoiser-iq, ...")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder that gets it (default: that of your bundles)")
    parser.add_argument("--single", action="store_true", help="weights in single precision (default: half)")
    parser.set_defaults(run=_import)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", type=Path, help="folder with catalog.csv and its sounds")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints and caches (default: runs)")
    parser.add_argument("--licences", choices=("all", "permissive"), default="all", help="which clips to use")
    for name, what in (
        ("images", "folder with catalog.csv and its pictures"),
        ("imagenet", "efficientnet-lite0-57934424.pth: teaches the image tower"),
        ("minilm", "folder of the sentence encoder that teaches"),
        ("captions", "captions of sounds, one a line"),
        ("ontology", "the AudioSet ontology's JSON"),
        ("labels", "VGGSound's class names"),
        ("wordnet", "WordNet's dict folder"),
    ):
        parser.add_argument(f"--{name}", type=Path, help=what)


def _sources(options: argparse.Namespace):
    from onnx_export.clipsonic.training.datasets import DataPaths

    names = ("corpus", "runs", "images", "imagenet", "minilm", "captions", "ontology", "labels", "wordnet", "licences")
    return DataPaths(**{name: getattr(options, name) for name in names})


def _train(options: argparse.Namespace) -> None:
    train(options, _sources(options))


def _features(options: argparse.Namespace) -> None:
    from onnx_export.config import read_config
    from onnx_export.video.features import extract_features

    config = read_config(options.config)
    found = extract_features(options.videos, options.list, config, options.runs, options.device, options.workers)
    splits = ", ".join(f"{split} {len(found.indices(split))}" for split in ("train", "valid", "test"))
    print(f"{len(found)} clips of {found.n_embedding} numbers a frame, {found.embedding}: {splits}")
    for reason, n in found.skipped.items():
        print(f"left out: {n} ({reason})")
    print(f"features: {found.place.absolute()}")


def _estimate(options: argparse.Namespace) -> None:
    import torch

    from onnx_export.config import read_config
    from onnx_export.profiling.estimate import estimate

    if options.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device is cuda, expected cpu: PyTorch finds no CUDA here")
    if not options.tflops > 0:
        raise ValueError(f"--tflops is {options.tflops:g}, expected more than 0")
    print(estimate(read_config(options.config), torch.device(options.device), options.tflops).table())


def _resume(options: argparse.Namespace) -> None:
    from onnx_export.clipsonic.export.bundle import Sizes
    from onnx_export.clipsonic.export.resume import resume_from
    from plugin_server.engine.bundles.card_reader import read_card
    from plugin_server.engine.bundles.registry import Bundle

    bundle = Bundle(options.bundle, read_card(options.bundle))
    resume_from(bundle, Sizes(), options.runs, options.at)


def _export(options: argparse.Namespace) -> None:
    from onnx_export.clipsonic.export.band_statistics import measure_band_statistics
    from onnx_export.clipsonic.export.bundle import Sizes, load_networks, write_bundle
    from onnx_export.clipsonic.variants import VARIANTS
    from onnx_export.data.attributions import write_attributions

    sources, sizes, variant = _sources(options), Sizes(), VARIANTS[options.name]
    cache = sources.sound_dataset()
    labels = sorted({cache.sounds[i].label for i in cache.indices("train")})
    networks = load_networks(options.runs, variant, sizes, labels, measure_band_statistics(cache, labels))
    folder = options.out / options.name
    card = write_bundle(folder, variant, networks, sizes)
    made = {
        "Sounds behind this model": [cache.sounds[i] for i in cache.indices("train")],
        "Pictures behind this model": sources.pictures() if variant.sees else [],
    }
    write_attributions(made, folder / "ATTRIBUTIONS.md")
    for name, graph in card.graphs.items():
        print(f"{name:12} {graph.parity:.2e} largest relative difference from PyTorch")
    print(f"bundle: {folder.absolute()}")


def _import(options: argparse.Namespace) -> None:
    # open_clip tells every step to the root logger.
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("onnx_export").setLevel(logging.INFO)
    from onnx_export.official.assemble import Wish, import_bundle

    names = ("name", "base", "towers", "prior", "vocoder", "denoiser")
    wish = Wish(**{name: getattr(options, name) for name in names}, halve=not options.single)
    bundle = import_bundle(wish, options.out or bundle_folders()[0], bundle_folders())
    for name, graph in bundle.card.graphs.items():
        print(f"{name:12} {graph.parity or 0:.2e} largest relative difference from PyTorch")
    print(f"bundle: {bundle.folder.absolute()}")


def _evaluate(options: argparse.Namespace) -> None:
    from onnx_export.evaluation.evaluate import Weights, evaluate_bundle

    limit_threads(options.threads)
    weights = Weights(options.soundnet, options.hifigan, options.crepe)
    report = evaluate_bundle(options.bundle, _sources(options), weights, options.takes, options.sheet)
    print(report.table())
    if options.json:
        options.json.write_text(report.to_json(), "utf-8")


def _compare(options: argparse.Namespace) -> None:
    from onnx_export.evaluation.evaluate import Weights
    from onnx_export.evaluation.variants import compare

    report = compare(options.bundles, _sources(options), Weights(soundnet=options.soundnet))
    print(report.table())
    if options.json:
        options.json.write_text(report.to_json(), "utf-8")


def _draw(options: argparse.Namespace) -> None:
    from onnx_export.data.images import read_rgb
    from onnx_export.evaluation.clip_sets import TAKE_SECONDS, make
    from onnx_export.evaluation.figures import draw_pictures, draw_row

    model, files = _model(options.bundle), [Path(prompt) for prompt in options.prompts]
    if all(file.is_file() for file in files):
        waves = [make(model, "", TAKE_SECONDS, options.seed, images=(str(file),)) for file in files]
        seen = [read_rgb(file) for file in files]
        draw_pictures(
            list(zip(seen, [file.stem for file in files], waves, strict=True)), model.card.mel, options.picture
        )
        return
    clips = {prompt: make(model, prompt, TAKE_SECONDS, options.seed) for prompt in options.prompts}
    draw_row(clips, model.card.mel, options.picture)


def _probe(options: argparse.Namespace) -> None:
    from onnx_export.evaluation.diffusion_classifier import probe
    from onnx_export.evaluation.judges import concepts

    model, cache = _model(options.bundle), _sources(options).sound_dataset()
    labels = concepts(cache)
    for split in ("train", "valid"):
        for sigma in options.sigma:
            print(probe(model, cache, labels, split, sigma, options.clips))


def _model(folder: Path):
    from plugin_server.engine.bundles.card_reader import read_card
    from plugin_server.engine.bundles.registry import Bundle
    from plugin_server.engine.families.clipsonic import load
    from plugin_server.engine.sessions import SessionOptions

    return load(Bundle(folder, read_card(folder)), SessionOptions())
