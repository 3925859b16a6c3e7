import struct

from plugin_server.studio import seeds
from plugin_server.studio.seeds import DRAWN_SEEDS, MAX_TAKES, draw_seed, other_seed


def test_every_seed_that_is_drawn_and_those_of_its_takes_survive_a_32_bit_float(monkeypatch):
    asked = []
    monkeypatch.setattr(seeds.secrets, "randbelow", lambda n: asked.append(n) or n - 1)
    last = draw_seed() + MAX_TAKES - 1
    assert last == DRAWN_SEEDS - 1 and asked == [DRAWN_SEEDS - MAX_TAKES + 1]
    assert struct.unpack("f", struct.pack("f", last))[0] == last


def test_another_seed_is_never_the_same(monkeypatch):
    drawn = iter([3, 3, 4])
    monkeypatch.setattr(seeds.secrets, "randbelow", lambda _: next(drawn))
    assert other_seed(3) == 4
