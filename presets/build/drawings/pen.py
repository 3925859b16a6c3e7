"""A pen for flat pictures: shapes in hundredths of the picture's side, drawn large and made smaller at the end."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 256
OVERSIZE = 4
Point = tuple[float, float]


class Pen:
    """A pen that draws on one picture; colours are "#rrggbb"."""

    def __init__(self, above: str, below: str) -> None:
        """Make the ground, which goes from one colour, at the top, to another."""
        self._side = SIDE * OVERSIZE
        shades = Image.linear_gradient("L").resize((self._side, self._side))
        bottom, top = (Image.new("RGB", shades.size, colour) for colour in (below, above))
        self._image = Image.composite(bottom, top, shades)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> Image.Image:
        """Return the picture, 256 x 256 pixels."""
        return self._image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)

    def shape(self, colour: str, *points: Point) -> None:
        """Draw a filled polygon through points."""
        self._draw.polygon(self._scaled(points), fill=colour)

    def curve(self, colour: str, *points: Point) -> None:
        """Draw a filled shape whose outline runs smoothly through points (Catmull and Rom)."""
        smooth = []
        for i, b in enumerate(points):
            a, c, d = points[i - 1], points[(i + 1) % len(points)], points[(i + 2) % len(points)]
            smooth += [_between(a, b, c, d, step / 12) for step in range(12)]
        self.shape(colour, *smooth)

    def oval(self, colour: str, x: float, y: float, width: float, height: float | None = None) -> None:
        """Draw a filled oval around a middle."""
        height = width if height is None else height
        self._draw.ellipse(
            self._scaled([(x - width / 2, y - height / 2), (x + width / 2, y + height / 2)]), fill=colour
        )

    def box(self, colour: str, x: float, y: float, width: float, height: float, round_: float = 0) -> None:
        """Draw a filled rectangle from its upper left corner."""
        corners = self._scaled([(x, y), (x + width, y + height)])
        self._draw.rounded_rectangle(corners, self._length(round_), fill=colour)

    def line(self, colour: str, width: float, *points: Point) -> None:
        """Draw a line with round ends and corners."""
        self._draw.line(self._scaled(points), fill=colour, width=round(self._length(width)), joint="curve")
        for x, y in points:
            self.oval(colour, x, y, width)

    def arc(self, colour: str, width: float, x: float, y: float, across: float, start: float, end: float) -> None:
        """Draw a part of a circle's line around a middle, in degrees from three o'clock, clockwise."""
        corners = self._scaled([(x - across / 2, y - across / 2), (x + across / 2, y + across / 2)])
        self._draw.arc(corners, start, end, fill=colour, width=round(self._length(width)))

    def ring(self, colour: str, width: float, x: float, y: float, across: float) -> None:
        """Draw a circle's line around a middle."""
        self.arc(colour, width, x, y, across, 0, 360)

    def soften(self, radius: float) -> None:
        """Blur everything that is on the picture so far."""
        self._image.paste(self._image.filter(ImageFilter.GaussianBlur(self._length(radius))))

    def grain(self, strength: float, size: float, flat: float = 1) -> None:
        """Add spots that are lighter and darker, as fur, clouds or sand have, to the picture so far.

        They are of a size, `flat` times as wide as high.
        """
        rows, columns = round(100 / size), round(100 / size / flat)
        # Always the same, so that pictures are.
        spots = np.random.default_rng(rows).normal(0, strength, (rows, columns)).astype(np.float32)
        shades = Image.fromarray(spots).resize(self._image.size, Image.Resampling.BICUBIC)
        pixels = np.asarray(self._image, np.float32) + np.asarray(shades)[:, :, None]
        self._image.paste(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))

    def _length(self, hundredths: float) -> float:
        return hundredths * self._side / 100

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [(self._length(x), self._length(y)) for x, y in points]


def _between(a: Point, b: Point, c: Point, d: Point, t: float) -> Point:
    def along(p: float, q: float, r: float, s: float) -> float:
        return q + t / 2 * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)))

    return along(a[0], b[0], c[0], d[0]), along(a[1], b[1], c[1], d[1])


def around(x: float, y: float, across: float, n: int, turn: float = 0) -> list[Point]:
    """Return `n` points on a circle around a middle, from `turn` degrees after three o'clock."""
    angles = (math.radians(turn + 360 * i / n) for i in range(n))
    return [(x + across / 2 * math.cos(angle), y + across / 2 * math.sin(angle)) for angle in angles]
