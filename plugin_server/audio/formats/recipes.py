"""The recipe of a clip as its file holds it: UTF-8 JSON, the same in all formats."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from plugin_server.errors import BadFile, NoRecipe
from plugin_server.untrusted_files import parse_json

MAX_RECIPE_BYTES = 2**20
"""Bytes of a recipe that is read: ours have some hundreds, with sixteen pictures some thousands."""


def encode_recipe(recipe: Mapping[str, object]) -> bytes:
    """Return a recipe as files hold it, UTF-8 JSON. Raises ValueError for what is not JSON."""
    return json.dumps(dict(recipe), ensure_ascii=False, allow_nan=False).encode()


def parse_recipe(path: Path, content: bytes | None) -> dict[str, object]:
    """Parse the recipe of a file, None where it has none. Raises BadFile."""
    if content is not None:
        check_recipe_size(path, len(content))
        try:
            recipe = parse_json(content)
        except ValueError as error:
            raise BadFile(f"{path}: its recipe cannot be read: {error}") from error
        if isinstance(recipe, dict):
            return recipe
    raise NoRecipe(f"{path}: holds no recipe; it was not made by Clipsonic Live, or another program saved it anew")


def read_recipe_here(path: Path, file: BinaryIO, length: int) -> dict[str, object]:
    """Read the recipe of `length` bytes at which a file stands. Raises BadFile, and OSError."""
    check_recipe_size(path, length)
    return parse_recipe(path, file.read(length))


def check_recipe_size(path: Path, length: int) -> None:
    """Raise BadFile where a recipe is longer than any of ours."""
    if length > MAX_RECIPE_BYTES:
        raise BadFile(f"{path}: its recipe has {length} bytes, expected at most {MAX_RECIPE_BYTES}")
