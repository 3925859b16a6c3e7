"""Drawings of instruments, vehicles and other things for the bank `pictures`."""

from presets.build.drawings.pen import Pen, around


def bell() -> Pen:
    """Return the drawing of a bell."""
    pen = Pen("#8fb6d9", "#dfe9f2")
    pen.box("#6d4c2f", 10, 8, 80, 8, 1)
    pen.box("#4e3620", 44, 14, 12, 8, 2)
    pen.oval("#7a5c12", 50, 84, 12)
    pen.curve("#c9992b", (40, 22), (35, 44), (24, 70), (18, 80), (82, 80), (76, 70), (65, 44), (60, 22), (50, 19))
    pen.curve("#e6c15a", (42, 26), (38, 46), (30, 70), (38, 72), (44, 46), (47, 26))
    pen.box("#a67c1c", 17, 76, 66, 6, 3)
    pen.line("#a67c1c", 1.5, (31, 62), (69, 62))
    return pen


def drums() -> Pen:
    """Return the drawing of drums."""
    pen = Pen("#59626e", "#3a3f47")
    pen.shape("#2b2f35", (-5, 84), (105, 84), (105, 105), (-5, 105))
    for x, y, lean in ((14, 26, -4), (86, 24, 4)):
        pen.line("#b8bcc2", 1.4, (x, y), (x + lean, 92))
        pen.oval("#d9b64a", x, y, 30, 6)
        pen.oval("#f1d985", x, y - 1, 10, 2)
    for x in (36, 64):
        pen.box("#b02a2a", x - 12, 30, 24, 18, 2)
        pen.oval("#f3efe6", x, 30, 24, 8)
        pen.line("#d8dadd", 0.8, (x - 12, 47), (x + 12, 47))
    pen.oval("#8e1f1f", 50, 66, 48, 48)
    pen.oval("#dfe1e4", 50, 66, 44, 44)
    pen.oval("#f6f3ea", 50, 66, 40, 40)
    pen.oval("#33363b", 56, 72, 9)
    pen.box("#b02a2a", 8, 58, 22, 14, 2)
    pen.oval("#f3efe6", 19, 58, 22, 7)
    pen.box("#b02a2a", 74, 54, 20, 28, 2)
    pen.oval("#f3efe6", 84, 54, 20, 7)
    return pen


def guitar() -> Pen:
    """Return the drawing of a guitar."""
    pen = Pen("#f0e4d0", "#d8c3a0")
    pen.shape("#5a3a1f", (60, 34), (88, 4), (94, 10), (66, 40))
    pen.shape("#3c2512", (84, 4), (92, -1), (99, 6), (94, 14))
    pen.curve("#b8722c", (62, 32), (70, 40), (62, 54), (58, 78), (36, 92), (12, 84), (8, 62), (24, 42), (46, 40))
    pen.curve("#d99345", (60, 35), (66, 41), (58, 54), (54, 75), (35, 87), (16, 80), (12, 62), (27, 46), (47, 43))
    pen.oval("#2b1a0d", 47, 55, 15)
    pen.ring("#7a4a1e", 1.2, 47, 55, 18)
    pen.line("#3c2512", 3, (23, 70), (34, 81))
    for shift in (-2.4, -0.8, 0.8, 2.4):
        pen.line("#f4efe4", 0.5, (29 + shift, 75 + shift), (91 + shift / 2, 9 + shift / 2))
    return pen


def car() -> Pen:
    """Return the drawing of a car."""
    pen = Pen("#bcdcf0", "#dfeaf0")
    pen.shape("#5b5f66", (-5, 70), (105, 70), (105, 105), (-5, 105))
    for x in (4, 38, 72):
        pen.box("#e8e4d0", x, 88, 20, 2)
    pen.curve("#b3242b", (24, 52), (34, 34), (62, 33), (76, 50), (60, 56), (40, 56))
    pen.shape("#cfe7f3", (31, 51), (38, 38), (49, 37.5), (49, 51))
    pen.shape("#cfe7f3", (52, 51), (52, 37.5), (61, 38), (69, 51))
    pen.curve("#c82f36", (6, 56), (10, 50), (28, 48), (74, 48), (92, 54), (95, 66), (92, 73), (8, 73), (4, 66))
    pen.box("#8e1b20", 6, 68, 88, 5, 2)
    pen.oval("#fbe9a0", 91, 59, 6, 5)
    pen.box("#e05a5a", 5, 56, 4, 6, 1)
    pen.line("#7c171c", 0.6, (50.5, 50), (50.5, 68))
    pen.box("#7c171c", 54, 55, 6, 1.4)
    for x in (25, 75):
        pen.oval("#17181a", x, 73, 21)
        pen.oval("#b9bdc2", x, 73, 11)
        pen.oval("#55585d", x, 73, 4)
    return pen


def train() -> Pen:
    """Return the drawing of a train."""
    pen = Pen("#cfe3ef", "#e6ead8")
    pen.shape("#8aa05c", (-5, 74), (105, 74), (105, 105), (-5, 105))
    pen.shape("#8f8778", (-5, 84), (105, 84), (105, 94), (-5, 94))
    for x, y, across in ((20, 14, 16), (32, 9, 18), (46, 12, 13), (10, 20, 12)):
        pen.oval("#f4f4f4", x, y, across)
    pen.soften(1)
    pen.box("#1d2a24", 22, 28, 9, 20)
    pen.shape("#1d2a24", (19, 28), (34, 28), (31, 22), (22, 22))
    pen.box("#2c5e43", 14, 44, 48, 24, 8)
    pen.box("#234b36", 58, 26, 28, 44, 2)
    pen.box("#14251c", 55, 22, 35, 6, 2)
    pen.box("#f2dfa0", 64, 33, 16, 14, 1)
    pen.oval("#b98b2e", 45, 43, 9, 10)
    pen.shape("#8e2a22", (6, 82), (22, 68), (22, 82))
    pen.box("#8e2a22", 14, 66, 76, 5)
    for x, across in ((30, 16), (48, 16), (72, 22)):
        pen.oval("#7d1f1a", x, 86 - across / 2, across)
        pen.oval("#d9cdb8", x, 86 - across / 2, across * 0.35)
    pen.line("#c9c3b5", 2, (30, 80), (72, 78))
    pen.line("#5a554b", 1.6, (-5, 87), (105, 87))
    pen.grain(8, 1)
    return pen


def airplane() -> Pen:
    """Return the drawing of an airplane."""
    pen = Pen("#4f93d2", "#c6e2f6")
    for x, y, across in ((14, 78, 22), (28, 74, 26), (44, 80, 20), (78, 22, 20), (90, 26, 18)):
        pen.oval("#ffffff", x, y, across, across * 0.5)
    pen.soften(1.2)
    pen.shape("#9aa7b5", (46, 46), (64, 16), (71, 17), (62, 48))
    pen.shape("#c4ccd6", (12, 36), (8, 20), (14, 20), (24, 42))
    pen.curve("#eef2f6", (8, 40), (24, 40), (72, 44), (88, 50), (94, 55), (86, 60), (64, 61), (26, 54))
    pen.curve("#c9d2dc", (14, 47), (26, 54), (64, 61), (86, 60), (93, 56), (60, 56))
    pen.shape("#b4bfcb", (40, 55), (62, 56), (40, 90), (32, 90))
    pen.shape("#d4313a", (12, 36), (9, 24), (14, 24), (20, 38))
    pen.box("#6d7b8a", 42, 68, 10, 6, 3)
    for i in range(9):
        pen.oval("#3d5f85", 34 + 5 * i, 47.6 + 0.5 * i, 2)
    pen.shape("#3d5f85", (83, 49), (88, 51.5), (86, 53), (81, 51))
    return pen


def clock() -> Pen:
    """Return the drawing of a clock."""
    pen = Pen("#d9cbb3", "#c2ae8d")
    pen.oval("#5b3a1e", 50, 50, 88)
    pen.oval("#8a5c30", 50, 50, 82)
    pen.oval("#fbf8f0", 50, 50, 72)
    for i, (outer, inner) in enumerate(zip(around(50, 50, 68, 60), around(50, 50, 64, 60), strict=True)):
        if i % 5:
            pen.line("#55504a", 0.4, outer, inner)
    for outer, inner in zip(around(50, 50, 67, 12), around(50, 50, 56, 12), strict=True):
        pen.line("#22201d", 1.8, outer, inner)
    pen.line("#22201d", 3, (50, 50), (38, 36))
    pen.line("#22201d", 2, (50, 50), (66, 26))
    pen.line("#b3242b", 0.8, (46, 58), (62, 77))
    pen.oval("#22201d", 50, 50, 5)
    return pen


def piano() -> Pen:
    """Return the drawing of a piano."""
    pen = Pen("#efe6da", "#cdbda6")
    pen.curve("#15151a", (12, 46), (14, 18), (40, 4), (62, 14), (72, 30), (92, 36), (92, 48))
    pen.line("#4a3218", 1.6, (70, 48), (60, 18))
    pen.box("#24242b", 8, 46, 84, 12, 2)
    pen.box("#101014", 4, 56, 92, 12, 2)
    pen.box("#fbfaf6", 9, 58, 82, 7)
    for i in range(1, 26):
        pen.line("#8d8a84", 0.3, (9 + i * 82 / 26, 58), (9 + i * 82 / 26, 65))
        if i % 7 not in (3, 0):
            pen.box("#101014", 8 + i * 82 / 26, 58, 1.9, 4.2)
    for x in (12, 48, 84):
        pen.shape("#15151a", (x, 68), (x + 5, 68), (x + 3.6, 94), (x + 1.4, 94))
    return pen
