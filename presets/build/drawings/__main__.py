"""`python -m presets.build.drawings`: draw the sixteen pictures of the bank `pictures` again."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from presets.build.drawings.nature import bird, cat, dog, fire, horse, rain, sea_waves, thunderstorm
from presets.build.drawings.pen import Pen
from presets.build.drawings.things import airplane, bell, car, clock, drums, guitar, piano, train

PICTURES: dict[str, Callable[[], Pen]] = {
    "dog": dog, "cat": cat, "horse": horse, "bird": bird, "sea-waves": sea_waves, "rain": rain,
    "thunderstorm": thunderstorm, "fire": fire, "bell": bell, "clock": clock, "drums": drums, "guitar": guitar,
    "piano": piano, "car": car, "train": train, "airplane": airplane,
}  # fmt: skip
"""Functions that draw the pictures, by the names of the files."""


def main() -> None:
    """Draw all pictures and write them into the folder of the bank."""
    folder = Path(__file__).parents[2] / "banks" / "pictures"
    for name, picture in PICTURES.items():
        image = picture().finish().quantize(96, dither=Image.Dither.NONE)
        image.save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
