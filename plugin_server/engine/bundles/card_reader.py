"""Read a bundle's card from its file, and check everything that it says."""

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from plugin_server.audio.spectral import MelSettings
from plugin_server.engine.bundles.card import (
    CARD_NAME,
    FILTERS,
    FITS,
    FORMAT,
    MODALITIES,
    PRIORS,
    SOLVER_NAMES,
    STORED_PREDICTION_TYPES,
    TOKENIZER_FILES,
    Card,
    Embedding,
    GraphSpec,
    ImageSpec,
    LabelAnchorSpec,
    Lengths,
    PriorSpec,
    Sampling,
    TensorSpec,
    optional_keys,
    stored_names,
)
from plugin_server.engine.bundles.card_types import check_types
from plugin_server.errors import BadFile, BundleDamaged, short_repr
from plugin_server.untrusted_files import read_json

Part = TypeVar("Part")

MAX_FILE_NAME = 200
"""Characters of the name of a bundle's file."""
MAX_SIGMAS = 101
"""Noise levels of a card: one more than steps."""
MAX_CARD_BYTES = 2**20
"""Bytes of a card that is read: the largest of ours has some 60 thousand."""


def read_card(folder: Path) -> Card:
    """Return the card in `folder`. Raises BundleDamaged naming the file and the key that is wrong."""
    path = folder / CARD_NAME
    try:
        values: Any = read_json(path, MAX_CARD_BYTES)
    except BadFile as error:
        raise BundleDamaged(str(error)) from error
    try:
        return parse_card(values)
    except KeyError as error:
        raise BundleDamaged(f"{path} lacks {error}") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BundleDamaged(f"{path} is not a card: {error}") from error


def parse_card(values: Mapping[str, Any]) -> Card:
    """Return the card whose JSON object is `values`.

    Raises KeyError for a key that is missing, ValueError, TypeError or AttributeError for one that is wrong.
    """
    if not isinstance(values, dict):
        raise TypeError(f"got {short_repr(values)}, expected an object")
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']!r}; this version reads format {FORMAT}")
    parts = dict(values)
    parts["embedding"] = _part(Embedding, _object(values, "embedding"), "embedding.")
    parts["mel"] = _part(MelSettings, _object(values, "mel"), "mel.")
    parts["sampling"] = _sampling(_object(values, "sampling"))
    parts["lengths"] = _part(Lengths, _object(values, "lengths"), "lengths.")
    parts["known"] = _part(LabelAnchorSpec, _object(values, "known"), "known.") if values.get("known") else None
    parts["picture"] = _image(_object(values, "picture")) if values.get("picture") else None
    parts["priors"] = {name: _prior(spec) for name, spec in values.get("priors", {}).items()}
    parts["graphs"] = {name: _graph(spec) for name, spec in _object(values, "graphs").items()}
    parts["mel_mean"], parts["mel_std"] = tuple(values["mel_mean"]), tuple(values["mel_std"])
    parts["conditions"] = tuple(values.get("conditions", ("text",)))
    card = _part(Card, parts)
    _check(card)
    return card


def _object(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the JSON object under a key. Raises KeyError, or TypeError for another kind of value."""
    value = values[key]
    if not isinstance(value, dict):
        raise TypeError(f"{key}: got {short_repr(value)}, expected an object")
    return value


def _part(part: type[Part], values: Mapping[str, Any], where: str = "") -> Part:
    """Return a part of the card, a dataclass, from its JSON object.

    Raises KeyError for a key that is missing, TypeError for one that the part does not have.
    """
    names = {key: name for name, key in stored_names(part).items()}
    for key in values:
        if key not in names:
            raise TypeError(f"{part.__name__} has no key {key!r}")
    missing = names.keys() - values.keys() - optional_keys(part)
    if missing:
        raise KeyError(min(missing))
    read = part(**{names[key]: value for key, value in values.items()})
    check_types(read, stored_names(part), where)
    return read


def _sampling(values: Mapping[str, Any]) -> Sampling:
    stored = values.get("parametrisation", "clean")
    _check_word("sampling.parametrisation", stored, tuple(STORED_PREDICTION_TYPES))
    sigmas = {"sigmas": tuple(values["sigmas"])} if isinstance(values.get("sigmas"), list) else {}
    return _part(Sampling, {**values, "parametrisation": STORED_PREDICTION_TYPES[stored], **sigmas}, "sampling.")


def _image(values: Mapping[str, Any]) -> ImageSpec:
    return _part(ImageSpec, {**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])}, "picture.")


def _prior(values: Mapping[str, Any]) -> PriorSpec:
    parts = {"mean": tuple(values.get("mean", ())), "std": tuple(values.get("std", ()))}
    return _part(PriorSpec, {**values, **parts}, "priors.")


def _graph(values: Mapping[str, Any]) -> GraphSpec:
    inputs, outputs = (
        tuple(
            _part(TensorSpec, {"name": tensor["name"], "type": tensor["type"], "shape": tuple(tensor["shape"])})
            for tensor in values[side]
        )
        for side in ("inputs", "outputs")
    )
    return _part(
        GraphSpec, {"file": values["file"], "inputs": inputs, "outputs": outputs, "parity": values.get("parity")}
    )


def _check(card: Card) -> None:
    check_name(card.name)
    _check_numbers(card)
    _check_sampling(card.sampling)
    _check_conditioning(card)
    _check_files(card)


def check_name(name: object) -> None:
    """Check that `name` can be a bundle's name. Raises ValueError."""
    # The name is a folder's name too, and must not lead out of where bundles lie.
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]{0,63}", name):
        raise ValueError(f"name is {short_repr(name)}, expected at most 64 letters, digits and . _ -")


def is_plain_name(name: str) -> bool:
    """Return whether a file of a bundle may have this name: no path on any system, nothing that steers a terminal."""
    return (
        0 < len(name) <= MAX_FILE_NAME
        and name.isprintable()
        and not set(name) & set('/\\:*?"<>|')
        and name.strip(". ") != ""
    )


def _check_numbers(card: Card) -> None:
    for name, numbers in (("mel_mean", card.mel_mean), ("mel_std", card.mel_std)):
        if len(numbers) != card.mel.n_mels:
            raise ValueError(f"{name} has {len(numbers)} numbers, expected {card.mel.n_mels}")
    if min(card.mel_std) <= 0:
        raise ValueError("mel_std holds a number that is not positive")
    _check_whole("frame_multiple", card.frame_multiple, 1, 4096)
    # A prompt needs its two end marks and a word between them.
    _check_whole("context_length", card.context_length, 3, 65_536)
    _check_whole("embedding.size", card.embedding.size, 1, 65_536)
    mel = card.mel
    _check_whole("mel.sample_rate", mel.sample_rate, 1000, 768_000)
    _check_whole("mel.n_fft", mel.n_fft, 2, 65_536)
    _check_whole("mel.hop", mel.hop, 1, mel.n_fft)
    _check_whole("mel.n_mels", mel.n_mels, 1, 4096)
    if not 0 <= mel.f_min_hz < mel.f_max_hz <= mel.sample_rate:
        raise ValueError(f"mel.f_min_hz is {mel.f_min_hz:g} and mel.f_max_hz {mel.f_max_hz:g}, expected them in order")
    lengths = card.lengths
    if not 0 < lengths.minimum <= lengths.default <= lengths.maximum <= 3600:
        words = ", ".join(f"{key}={getattr(lengths, name)!r}" for name, key in stored_names(Lengths).items())
        raise ValueError(f"lengths are Lengths({words}), expected 0 < least <= usual <= most <= 3600")


def _check_sampling(sampling: Sampling) -> None:
    _check_word("sampling.solver", sampling.solver, SOLVER_NAMES)
    _check_whole("sampling.steps", sampling.steps, 1, 100)
    if not sampling.shift > 0:
        raise ValueError(f"sampling.shift is {sampling.shift:g}, expected a number above 0")
    if not 0 <= sampling.band_statistics_share <= 1:
        raise ValueError(f"sampling.band_statistics_share is {sampling.band_statistics_share:g}, expected 0 to 1")
    sigmas = sampling.sigmas
    falls = all(high > low for high, low in pairwise(sigmas))
    if sigmas and not (falls and sigmas[0] == 1 and sigmas[-1] == 0 and len(sigmas) <= MAX_SIGMAS):
        raise ValueError(f"sampling.sigmas are {short_repr(sigmas)}, expected 2 to {MAX_SIGMAS} falling from 1 to 0")


def _check_conditioning(card: Card) -> None:
    if not card.modalities or not set(card.modalities) <= set(MODALITIES):
        raise ValueError(f"conditions are {short_repr(card.modalities)}, expected some of {', '.join(MODALITIES)}")
    if ("image_tower" in card.graphs) != (card.image is not None):
        raise ValueError("picture: expected beside the graph image_tower, and only there")
    if card.image:
        _check_image(card.image)
    for name, prior in card.priors.items():
        if name not in PRIORS:
            raise ValueError(f"priors holds {short_repr(name)}, expected one of {', '.join(PRIORS)}")
        _check_prior(f"priors.{name}", prior, card)
    if card.preferred_conditioning:
        _check_word("via", card.preferred_conditioning, card.conditionings)


def _check_image(image: ImageSpec) -> None:
    _check_whole("picture.size", image.size, 8, 2048)
    _check_word("picture.fit", image.fit, FITS)
    _check_word("picture.filter", image.filter, FILTERS)
    if len(image.mean) != 3 or len(image.std) != 3 or min(image.std) <= 0:
        raise ValueError("picture: expected three numbers as mean, and three above 0 as std")


def _check_prior(key: str, prior: PriorSpec, card: Card) -> None:
    if prior.graph not in card.graphs:
        raise ValueError(f"{key}.graph is {short_repr(prior.graph)}, which is none of the graphs")
    own, others = {"noised", "timestep"}, {"mask", *(tensor.name for tensor in card.graphs["text_tower"].outputs)}
    takes = {tensor.name for tensor in card.graphs[prior.graph].inputs}
    if not own <= takes <= own | others:
        wanted = f"noised, timestep and perhaps some of {', '.join(sorted(others))}"
        raise ValueError(f"{key}.graph takes {', '.join(sorted(takes))}, expected {wanted}")
    _check_whole(f"{key}.steps", prior.steps, 1, 100)
    _check_whole(f"{key}.levels", prior.levels, prior.steps, 100_000)
    for name, numbers in (("mean", prior.mean), ("std", prior.std)):
        if numbers and len(numbers) != card.embedding.size:
            raise ValueError(f"{key}.{name} has {len(numbers)} numbers, expected {card.embedding.size}")
    if not prior.clip >= 0:
        raise ValueError(f"{key}.clip is {prior.clip:g}, expected 0 or a number above")
    if prior.std and min(prior.std) <= 0:
        raise ValueError(f"{key}.std holds a number that is not positive")


def _check_whole(key: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{key} is {short_repr(value)}, expected a whole number from {low} to {high}")


def _check_word(key: str, value: object, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ValueError(f"{key} is {short_repr(value)}, expected one of {', '.join(words)}")


def _check_files(card: Card) -> None:
    for name in TOKENIZER_FILES.get(card.family, ()):
        if name not in card.files:
            raise ValueError(f"files lacks {name!r}, the tokenizer of the family {card.family}")
    for graph in card.graphs.values():
        if graph.file not in card.files:
            raise ValueError(f"files lacks {graph.file!r}")
    anchors = card.label_anchors
    if anchors and anchors.file not in card.files:
        raise ValueError(f"files lacks {anchors.file!r}")
    if anchors and not anchors.confidence_floor < anchors.confidence_ceiling:
        far, near = anchors.confidence_floor, anchors.confidence_ceiling
        raise ValueError(f"known: far is {far} and near {near}, expected far below near")
    # A card must not lead out of its folder.
    for name in card.files:
        if not is_plain_name(name) or name == CARD_NAME:
            raise ValueError(f"files names {short_repr(name)}, expected a file beside the card")
