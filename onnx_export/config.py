"""Configurations of training as TOML files, one table for each dataclass it fills."""

import tomllib
import typing
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from onnx_export.clipsonic.models.denoiser import DenoiserSize
from onnx_export.clipsonic.training.denoiser import DenoiserTraining
from onnx_export.video.cutting import Cutting
from plugin_server.audio.spectral import MelSettings

T = TypeVar("T")

TYPE_WORDS = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false", tuple: "a list"}
FORMER_KEYS: dict[Any, dict[str, str]] = {
    DenoiserTraining: {
        "spread": "embedding_noise",
        "stray": "cross_label_mix",
        "mix": "mixup_probability",
        "drop_condition": "condition_dropout",
        "average_decay": "ema_decay",
        "guide_from": "guidance_distillation_from",
        "most_guidance": "distilled_guidance_max",
        "least_sigma": "min_sigma",
    }
}
"""Keys of earlier versions, which are still read, to the fields they are now."""


@dataclass(frozen=True, slots=True)
class EmbeddingChoice:
    """The space that conditions the denoiser."""

    tag: str
    """As `open_embedding` takes it: 'ViT-L-14:openai'."""
    size: int
    """Numbers in a vector."""


@dataclass(frozen=True, slots=True)
class Config:
    """All that a denoiser's training on videos depends on, beside the videos."""

    embedding: EmbeddingChoice
    mel: MelSettings = field(default_factory=MelSettings)
    videos: Cutting = field(default_factory=Cutting)
    denoiser: DenoiserSize = field(default_factory=DenoiserSize)
    training: DenoiserTraining = field(default_factory=DenoiserTraining)


def read_config(path: Path) -> Config:
    """Read the configuration of a training on videos; what the file leaves out has the dataclasses' defaults.

    Raises:
        ValueError: Names the key, what came and what was expected.
    """
    config = read_tables(path, Config)
    _check(config, path)
    return config


def read_tables(path: Path, kind: type[T]) -> T:
    """Fill a dataclass, with a table for each dataclass in it, from a TOML file.

    Raises:
        ValueError: Names the key, what came and what was expected.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    return fill(kind, tables, f"{path}: ")


def _check(config: Config, path: Path) -> None:
    """Raise ValueError when one table does not fit the others."""
    size, mel, embedding = config.denoiser, config.mel, config.embedding
    for name, value, expected, why in (
        ("denoiser.n_embedding", size.n_embedding, embedding.size, "as embedding.size"),
        ("denoiser.n_mels", size.n_mels, mel.n_mels, "as mel.n_mels"),
    ):
        if value != expected:
            raise ValueError(f"{path}: {name} is {value}, expected {expected} {why}")
    check_heads(size, path)


def check_heads(size: DenoiserSize, path: Path) -> None:
    """Raise ValueError when a denoiser's width cannot be divided among its heads."""
    if size.width % (2 * size.heads):
        raise ValueError(f"{path}: denoiser.width is {size.width}, expected a multiple of twice {size.heads} heads")


def fill(kind: type[T], table: object, prefix: str) -> T:
    """Return an instance of a dataclass from a TOML table; `prefix` stands before each key in messages."""
    if not isinstance(table, dict):
        raise ValueError(f"{prefix[:-1]} is {table!r}, expected a table")
    types = typing.get_type_hints(kind)
    table = _renamed(kind, table, prefix)
    for key in table:
        if key not in types:
            raise ValueError(f"{prefix}{key} is not known, expected one of {', '.join(types)}")
    # Any: for type checkers a type variable may stand for a class that is no dataclass.
    dataclass_type: Any = kind
    for part in fields(dataclass_type):
        if part.name not in table and part.default is MISSING and part.default_factory is MISSING:
            raise ValueError(f"{prefix}{part.name} is missing, expected {_words(types[part.name])}")
    return kind(**{key: _value(types[key], value, f"{prefix}{key}") for key, value in table.items()})


def _renamed(kind: type, table: dict[str, object], prefix: str) -> dict[str, object]:
    """Return a table with today's keys. Raises ValueError when a key stands there under both its names."""
    former = FORMER_KEYS.get(kind, {})
    for key, name in former.items():
        if key in table and name in table:
            raise ValueError(f"{prefix}{key} is {name} by its former name, expected one of them")
    return {former.get(key, key): value for key, value in table.items()}


def _value(kind: Any, value: object, name: str) -> Any:
    """Return a value of the type that a field is annotated with: a number, a text, a list of them, or a table."""
    if is_dataclass(kind):
        fields_of: Any = kind
        return fill(fields_of, value, f"{name}.")
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_value(typing.get_args(kind)[0], item, f"{name}[{i}]") for i, item in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    if typing.get_origin(kind) is typing.Literal and value in typing.get_args(kind):
        return value
    if type(value) is not kind:
        raise ValueError(f"{name} is {value!r}, expected {_words(kind)}")
    return value


def _words(kind: Any) -> str:
    if is_dataclass(kind):
        return f"a table with {', '.join(part.name for part in fields(kind))}"
    if typing.get_origin(kind) is typing.Literal:
        return f"one of {', '.join(map(repr, typing.get_args(kind)))}"
    return TYPE_WORDS[typing.get_origin(kind) or kind]
