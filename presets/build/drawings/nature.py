"""Drawings of animals and weather, which the bank `pictures` begins with."""

import math
import random

from presets.build.drawings.pen import Pen, Point

Stroke = tuple[float, list[Point]]
"""Width of a line, and the points that it goes through."""


def dog() -> Pen:
    """Return the drawing of a dog."""
    pen = Pen("#a8d0e6", "#7fb069")
    pen.curve("#2a2624", (30, 62), (26, 104), (74, 104), (70, 62), (50, 52))
    pen.curve("#2a2624", (31, 30), (30, 46), (37, 56), (40, 72), (60, 72), (63, 56), (70, 46), (69, 30), (50, 18))
    pen.curve("#f7f1e6", (46, 19), (44, 40), (40, 56), (40, 72), (60, 72), (60, 56), (56, 40), (54, 19))
    pen.grain(14, 1.6)
    for side in (-1, 1):
        ear = ((15, 22), (24, 24), (31, 40), (32, 58), (26, 62), (21, 54), (19, 38))
        pen.curve("#151312", *((50 + side * x, y) for x, y in ear))
        pen.oval("#5a3a20", 50 + side * 9.5, 38, 6.5, 6)
        pen.oval("#100b08", 50 + side * 9.5, 38, 4.6, 4.8)
        pen.oval("#ffffff", 51 + side * 9.5, 37, 1.4)
    pen.oval("#f3e3c6", 50, 58, 23, 20)
    pen.curve("#17110e", (44, 50), (50, 48), (56, 50), (53, 56), (50, 57), (47, 56))
    pen.oval("#6d6460", 48, 50.5, 3, 1.4)
    pen.line("#2a1d14", 0.9, (50, 57), (50, 62))
    pen.arc("#2a1d14", 0.9, 46, 61, 8, 0, 150)
    pen.arc("#2a1d14", 0.9, 54, 61, 8, 30, 180)
    pen.curve("#e0606f", (46.5, 65), (46.5, 74), (50, 78), (53.5, 74), (53.5, 65))
    pen.line("#b9404f", 0.5, (50, 66), (50, 74))
    return pen


def cat() -> Pen:
    """Return the drawing of a cat."""
    pen = Pen("#e8d5c4", "#b89a7a")
    pen.curve("#7d7f85", (30, 62), (24, 92), (76, 92), (70, 62))
    for side in (-1, 1):
        pen.shape("#7d7f85", (50 + side * 24, 14), (50 + side * 27, 40), (50 + side * 6, 28))
        pen.shape("#d9a0a0", (50 + side * 22, 20), (50 + side * 23, 33), (50 + side * 12, 28))
    pen.oval("#7d7f85", 50, 46, 52, 44)
    pen.oval("#dcdcdc", 50, 56, 24, 18)
    for side in (-1, 1):
        pen.oval("#b9d44c", 50 + side * 12, 42, 11, 11)
        pen.oval("#101010", 50 + side * 12, 42, 3.5, 10)
        for rise in (-3, 0, 3):
            pen.line("#f6f6f6", 0.6, (50 + side * 9, 55 + rise / 2), (50 + side * 32, 54 + 2 * rise))
    pen.shape("#d47f86", (46, 51), (54, 51), (50, 55))
    pen.line("#404040", 0.8, (50, 55), (50, 58), (45, 60))
    pen.line("#404040", 0.8, (50, 58), (55, 60))
    for x in (38, 50, 62):
        pen.line("#55575c", 1.6, (x, 26), (x + (50 - x) / 4, 32))
    pen.grain(20, 1.6)
    return pen


def sea_waves() -> Pen:
    """Return the drawing of sea waves."""
    pen = Pen("#7fbce8", "#d5edf8")
    for row, colour in enumerate(("#1f6fa8", "#2a7fb6", "#3a93c3", "#53a8cf", "#74bfd9")):
        pen.shape(colour, (-5, 38 + 6 * row), (105, 38 + 6 * row), (105, 105), (-5, 105))
    pen.soften(1.5)
    dice = random.Random(5)
    for y, width in ((48, 0.6), (56, 1), (64, 1.8)):
        x = -5.0
        while x < 105:
            length = dice.uniform(6, 22)
            pen.line("#f4fafc", width, (x, y + dice.uniform(-0.6, 0.6)), (x + length, y + dice.uniform(-0.6, 0.6)))
            x += length + dice.uniform(2, 14)
    pen.curve("#e2cda3", (-10, 86), (20, 80), (45, 74), (70, 70), (110, 66), (110, 120), (-10, 120))
    foam = ((-10, 84), (20, 78), (45, 72), (70, 68), (110, 63), (110, 67), (70, 72), (45, 76.5), (20, 82.5), (-10, 89))
    pen.curve("#f6fbfc", *foam)
    pen.grain(8, 1)
    return pen


def rain() -> Pen:
    """Return the drawing of rain."""
    drops, pen = random.Random(3), Pen("#4b5763", "#8794a0")
    pen.curve("#39434d", (-10, 22), (10, 8), (30, 16), (52, 4), (76, 14), (110, 6), (110, -20), (-10, -20))
    pen.soften(2)
    pen.shape("#5f6c70", (-5, 82), (105, 82), (105, 105), (-5, 105))
    for _ in range(150):
        x, y, length = drops.uniform(-5, 105), drops.uniform(12, 90), drops.uniform(5, 10)
        pen.line("#cfe0ea", 0.5, (x, y), (x - length / 4, y + length))
    for _ in range(14):
        x, y = drops.uniform(0, 100), drops.uniform(84, 97)
        pen.ring("#b9cad3", 0.5, x, y, drops.uniform(3, 8))
    return pen


def fire() -> Pen:
    """Return the drawing of a fire."""
    pen = Pen("#120b12", "#2b1414")
    for across, colour in ((90, "#3a1a12"), (66, "#5a2412"), (48, "#7a300f")):
        pen.oval(colour, 50, 62, across)
    pen.soften(5)
    flame = (
        (28, 84),
        (20, 62),
        (32, 42),
        (34, 56),
        (42, 30),
        (52, 8),
        (56, 34),
        (66, 44),
        (70, 34),
        (80, 62),
        (72, 84),
    )
    for size, colour in ((1.0, "#e2541b"), (0.76, "#f28a1c"), (0.52, "#fbc52f"), (0.28, "#fff3b0")):
        pen.curve(colour, *((50 + (x - 50) * size, 84 + (y - 84) * size) for x, y in flame))
    for ends in (((18, 92), (80, 80)), ((20, 80), (82, 92)), ((30, 90), (70, 90))):
        pen.line("#4a2c17", 7, *ends)
        pen.line("#6e4524", 3, *ends)
    return pen


def bird() -> Pen:
    """Return the drawing of a bird."""
    pen = Pen("#bfe3f2", "#e9f5dc")
    pen.line("#6b4a2b", 5, (-5, 80), (105, 70))
    for x, y in ((10, 72), (24, 84), (82, 64), (92, 78)):
        pen.curve("#5d9440", (x - 8, y), (x, y - 5), (x + 8, y), (x, y + 5))
    pen.curve("#33629c", (26, 48), (4, 72), (10, 78), (36, 66))
    pen.curve("#3f7dc0", (24, 54), (34, 70), (56, 72), (70, 56), (72, 36), (60, 28), (44, 36))
    pen.curve("#f0a150", (48, 50), (46, 66), (58, 68), (68, 56), (70, 46))
    pen.curve("#2c5688", (28, 50), (34, 64), (50, 62), (56, 50), (44, 42))
    pen.oval("#3f7dc0", 64, 34, 24, 23)
    pen.shape("#e8b020", (74, 31), (88, 36), (74, 39))
    pen.oval("#ffffff", 67, 32, 5.5)
    pen.oval("#101010", 68, 32, 3.4)
    for x in (50, 57):
        pen.line("#a06a2a", 1.2, (x, 70), (x + 1, 76))
    return pen


def thunderstorm() -> Pen:
    """Return the drawing of a thunderstorm."""
    pen = Pen("#141833", "#4a4478")
    pen.grain(14, 14, 2)
    pen.grain(9, 5, 2)
    bolts = [*_bolt(random.Random(6), 38, 16, 1.1), *_bolt(random.Random(7), 72, 16, 0.8)]
    for width, points in bolts:
        pen.line("#a99cff", 3.2 * width, *points)
    pen.soften(2.2)
    for width, points in bolts:
        pen.line("#f2eeff", width, *points)
    pen.shape("#0a0c16", (-5, 88), (14, 85), (30, 88), (54, 86), (78, 89), (105, 86), (105, 105), (-5, 105))
    return pen


def _bolt(dice: random.Random, x: float, y: float, width: float, turn: float = 0, end: float = 88) -> list[Stroke]:
    """A way from a point down to a height, and its branches, which are thinner and shorter."""
    strokes, points = [], [(x, y)]
    while y < end:
        angle, step = turn + dice.uniform(-0.7, 0.7), dice.uniform(2, 5)
        x, y = x + step * math.sin(angle), y + step * math.cos(angle)
        points.append((x, y))
        if width > 0.3 and dice.random() < 0.22:
            aside = turn + dice.choice((-1, 1)) * dice.uniform(0.5, 1)
            strokes += _bolt(dice, x, y, width / 2, aside, min(end, y + dice.uniform(12, 30)))
    return [(width, points), *strokes]


def horse() -> Pen:
    """Return the drawing of a horse."""
    pen = Pen("#b9dcf0", "#eaf1d8")
    pen.shape("#7fa650", (-5, 76), (105, 74), (105, 105), (-5, 105))
    pen.curve("#3d2415", (20, 42), (10, 52), (8, 74), (13, 78), (17, 60), (24, 50))
    for x, lean in ((26, -2), (34, 3), (60, -2), (67, 3)):
        pen.line("#6f4223", 5, (x, 60), (x + lean, 76), (x + lean * 0.6, 90))
        pen.box("#2a1a10", x + lean * 0.6 - 3, 89, 6, 4, 1)
    pen.curve("#8a5530", (20, 44), (22, 60), (36, 66), (62, 65), (73, 56), (71, 42), (50, 41), (32, 38))
    pen.curve("#8a5530", (60, 48), (72, 56), (78, 38), (84, 24), (76, 16), (68, 26))
    pen.curve("#8a5530", (74, 16), (72, 26), (80, 30), (92, 40), (96, 35), (90, 24), (82, 15))
    pen.shape("#8a5530", (75, 17), (76, 7), (81, 16))
    pen.curve("#3d2415", (77, 12), (66, 22), (56, 42), (63, 44), (72, 28))
    pen.oval("#14100c", 83, 23, 2.6)
    pen.oval("#3d2415", 93.5, 36, 2)
    return pen
