"""The recipe of a clip as its file holds it: UTF-8 JSON, the same in all formats."""

import json
from collections.abc import Mapping
from pathlib import Path

from plugin_server.errors import BadFile


def encode_recipe(recipe: Mapping[str, object]) -> bytes:
    """Return a recipe as files hold it, UTF-8 JSON. Raises ValueError for what is not JSON."""
    return json.dumps(dict(recipe), ensure_ascii=False, allow_nan=False).encode()


def parse_recipe(path: Path, content: bytes | None) -> dict[str, object]:
    """Parse the recipe of a file, None where it has none. Raises BadFile."""
    if content is not None:
        try:
            recipe = json.loads(content.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise BadFile(f"{path}: its recipe cannot be read: {error}") from error
        if isinstance(recipe, dict):
            return recipe
    raise BadFile(f"{path}: holds no recipe; it was not made by Clipsonic Live, or another program saved it anew")
