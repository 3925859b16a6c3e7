"""A run's configuration as a TOML file, one table for each dataclass it fills."""

import tomllib
import typing
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path

from onnx_export.clipsonic.models.denoiser import DenoiserSize
from onnx_export.clipsonic.training.denoiser import DenoiserTraining
from onnx_export.video.reader import Cutting
from plugin_server.audio.spectral import MelSettings

WORDS = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false", tuple: "a list"}


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
    """What a file says; what it leaves out has the dataclasses' defaults.

    Raises ValueError that names the key, what came and what was expected.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    config = _fill(Config, tables, f"{path}: ")
    _check(config, path)
    return config


def _check(config: Config, path: Path) -> None:
    """What one table says must fit what others say."""
    size, mel, embedding = config.denoiser, config.mel, config.embedding
    for name, value, expected, why in (
        ("denoiser.n_embedding", size.n_embedding, embedding.size, "as embedding.size"),
        ("denoiser.n_mels", size.n_mels, mel.n_mels, "as mel.n_mels"),
    ):
        if value != expected:
            raise ValueError(f"{path}: {name} is {value}, expected {expected} {why}")
    if size.width % (2 * size.heads):
        raise ValueError(f"{path}: denoiser.width is {size.width}, expected a multiple of twice {size.heads} heads")


def _fill(kind: type, table: object, where: str):
    """An instance of a dataclass from a table; `where` stands before each key in messages."""
    if not isinstance(table, dict):
        raise ValueError(f"{where[:-1]} is {table!r}, expected a table")
    kinds = typing.get_type_hints(kind)
    for key in table:
        if key not in kinds:
            raise ValueError(f"{where}{key} is not known, expected one of {', '.join(kinds)}")
    for part in fields(kind):
        if part.name not in table and part.default is MISSING and part.default_factory is MISSING:
            raise ValueError(f"{where}{part.name} is missing, expected {_words(kinds[part.name])}")
    return kind(**{key: _value(kinds[key], value, f"{where}{key}") for key, value in table.items()})


def _value(kind: type, value: object, name: str):
    """A value of the type that a field is annotated with: a number, a text, a list of them, or a table."""
    if is_dataclass(kind):
        return _fill(kind, value, f"{name}.")
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_value(typing.get_args(kind)[0], item, f"{name}[{i}]") for i, item in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} is {value!r}, expected {_words(kind)}")
    return value


def _words(kind: type) -> str:
    if is_dataclass(kind):
        return f"a table with {', '.join(part.name for part in fields(kind))}"
    return WORDS[typing.get_origin(kind) or kind]
