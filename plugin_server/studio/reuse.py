"""Recipes: the record in a clip's file of how it was made.

A clip that exists already is found by it, also where its file was renamed or moved, and one that was made from another
request, by another model or at another sample rate is not; and a request is read back from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from plugin_server.audio.formats.files import read_description, read_recipe
from plugin_server.engine.messages import GenerationParams
from plugin_server.errors import BadArgument, BadFile
from plugin_server.studio.attributes import MAX_TEXT, Effect, Kind
from plugin_server.studio.image_fingerprints import fingerprint
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.library.library import Library
from plugin_server.studio.library.records import ClipRecord, prompt_of
from plugin_server.studio.requests import ATTRIBUTES, FORMATS, Generate
from plugin_server.studio.words import normal_words

METADATA_ATTRIBUTES = tuple(
    sorted((row for row in ATTRIBUTES if row.effect in (Effect.FILE_NAME, Effect.METADATA)), key=lambda row: row.effect)
)
"""Attributes that do not change how the model is asked, but are written in the file."""
COMPARED_KEYS = (
    *(
        # Images are the same when their content is, wherever they are.
        "fingerprints" if row.kind is Kind.PATHS else row.name
        for row in ATTRIBUTES
        if row.effect in (Effect.SOUND, Effect.METADATA)
    ),
    "checksum",
    "take",
)
"""The keys of a recipe that decide what is in its file."""
DEFAULTS = {"via": "text", "format": FORMATS[0]}
"""The values that are meant where a recipe lacks a key, as those from before there were several."""
_RECIPE_KEYS = {row.field: row.name for row in ATTRIBUTES if row.kind is not Kind.PATHS}
"""Recipes have the names that users know, not those of the code."""
LOUDNESS, CONFIDENCE, NEAREST, HEARD = "loudness", "confidence", "nearest", "heard"
"""Keys of what is said of a clip when it is made, and when it is found again."""
MAX_NEAREST = 200
"""Characters of the name of a known sound."""
IMAGE_KEYS = ("images", "frames", "blend")
"""Keys that only recipes with images have."""


def recipe_of(params: GenerationParams) -> dict[str, object]:
    """Return what the model was asked for, as a file's recipe has it. Images are known by their content, too.

    Raises BadFile for an image that is not there.
    """
    recipe: dict[str, object] = {_RECIPE_KEYS.get(name, name): value for name, value in asdict(params).items()}
    if not params.prompt:
        del recipe["via"]
    if not params.images:
        return {key: value for key, value in recipe.items() if key not in IMAGE_KEYS}
    images = [Path(path) for path in params.images]
    return recipe | {"images": list(params.images), "fingerprints": [fingerprint(path) for path in images]}


def metadata_of(request: Generate) -> dict[str, object]:
    """Return the request's attributes that are metadata of the file, as recipes have them: those that it gives."""
    values = {row.name: getattr(request, row.field) for row in METADATA_ATTRIBUTES}
    return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class FileSettings:
    """The settings that a clip's file must have been written with; None where any will do."""

    sample_rate: int
    """Hertz."""
    bits: int | None = None
    loudness_lufs: float | None = None


def find_existing(library: Library, recipe: Mapping[str, object], settings: FileSettings) -> ClipMade | None:
    """Return the newest clip of a recipe that was written with these settings, or None.

    Raises what the library raises.
    """
    seed = recipe["seed"]
    if not isinstance(seed, int):
        raise TypeError(f"got {seed!r}, expected a seed")
    for record in library.find_by_request(prompt_of(recipe), seed, str(recipe["model"])):
        clip = _clip_of(record, _compared_values(recipe), settings)
        if clip:
            return clip
    return None


def request_like(path: Path, images: tuple[str, ...] = ()) -> tuple[Generate, str]:
    """Return the request that makes the clip in a file again, and the checksum of the model that made it.

    `images` replace those that it was made from, which need not be there any more.

    Raises BadFile when the file holds no recipe, or not one that can be asked for again.
    """
    recipe = read_recipe(path)
    try:
        return Generate(**_request_values(path, recipe, images)), str(recipe["checksum"])
    except (KeyError, TypeError, ValueError, BadArgument) as error:
        raise BadFile(f"{path}: its recipe cannot be used: {error}") from error


def change_request(request: Generate, changes: Mapping[str, Any], bpm: float) -> Generate:
    """Return a request with other values of some fields: seconds replace the bars that it has, and bars the seconds.

    `bpm` are the beats a minute of bars where neither says any. Raises BadArgument.
    """
    values = dict(changes)
    if values.get("bars") is not None:
        values = {"seconds": None, "bpm": request.bpm or bpm} | values
        # As a loop, unless that is refused.
        values.setdefault("loop", None)
    elif values.get("seconds") is not None:
        values = {"bars": None} | values
    if "model" in values:
        # Another model has other conditionings; that of the clip was perhaps not asked for.
        values = {"conditioning": ""} | values
    return replace(request, **values)


def _request_values(path: Path, recipe: Mapping[str, object], images: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a request, of any type, as the file has them: the request checks them."""
    if "bars" in recipe:
        recipe = {**recipe, "seconds": None}
    values: dict[str, Any] = {}
    for row in ATTRIBUTES:
        # Recipes of the first version lack some, and later ones have these where they were asked for.
        if row.in_every_recipe or (row.effect is not Effect.JOB and row.name in recipe):
            values[row.field] = recipe[row.name]
    # It is stored for images alone as well, where a request must not have it.
    blend = values.pop("blend", None)
    if images or "images" in recipe:
        values["images"] = images or _unchanged_images(path, recipe)
        values["blend"] = blend if recipe["prompt"] else None
    return values


def _unchanged_images(path: Path, recipe: Mapping[str, object]) -> tuple[str, ...]:
    """Return a recipe's images when their content is the same. Raises BadFile, TypeError, ValueError or KeyError."""
    names, fingerprints = recipe["images"], recipe["fingerprints"]
    if not isinstance(names, Iterable) or not isinstance(fingerprints, Iterable):
        raise TypeError(f"got {names!r} and {fingerprints!r}, expected images and their fingerprints")
    images = tuple(names)
    for image, expected in zip(images, fingerprints, strict=True):
        if fingerprint(Path(image)) != expected:
            raise BadFile(f"{path}: its image {image} was changed since")
    return images


def _compared_values(recipe: Mapping[str, object]) -> list[object]:
    values = [recipe.get(key, DEFAULTS.get(key)) for key in COMPARED_KEYS]
    # Recipes of earlier versions have words as they came.
    return [normal_words(value) if isinstance(value, str) else value for value in values]


def _clip_of(record: ClipRecord, compared: list[object], settings: FileSettings) -> ClipMade | None:
    """Return the clip of a record whose file has the compared values and settings, or None."""
    try:
        recipe, header = read_description(record.path)
    except BadFile:
        # Taken away or overwritten since it was entered.
        return None
    has_settings = (
        header.sample_rate == settings.sample_rate
        and settings.bits in (None, header.bits)
        and (settings.loudness_lufs is None or recipe.get(LOUDNESS, settings.loudness_lufs) == settings.loudness_lufs)
    )
    # An editor that keeps the recipe makes another clip all the same.
    is_untouched = recipe.get("id", record.id) == record.id
    if not has_settings or not is_untouched or _compared_values(recipe) != compared:
        return None
    file = record.file
    return ClipMade(record.id, record.path, header.seconds, file.take, file.seed, *_what_was_said(recipe), is_new=False)


def _what_was_said(recipe: Mapping[str, object]) -> tuple[float, str, int, int]:
    """Return confidence, nearest sound, words heard and words as a recipe has them, or what says nothing."""
    confidence, nearest, heard = recipe.get(CONFIDENCE), recipe.get(NEAREST), recipe.get(HEARD)
    n_heard = n_words = 0
    match heard:
        case [int(n), int(total)] if 0 <= n <= total <= MAX_TEXT:
            n_heard, n_words = n, total
    return (
        confidence if isinstance(confidence, float) and 0 <= confidence <= 1 else 1.0,
        nearest[:MAX_NEAREST] if isinstance(nearest, str) else "",
        n_heard,
        n_words,
    )
