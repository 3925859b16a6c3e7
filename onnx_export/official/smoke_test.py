"""A new bundle makes its first sound, in the server's own code."""

from dataclasses import replace

import numpy as np

from plugin_server.engine.bundles.registry import Bundle
from plugin_server.engine.families.clipsonic import load
from plugin_server.engine.messages import GenerationParams
from plugin_server.engine.sessions import Cancellation, SessionOptions

STEPS = 2
"""Enough to go through every graph."""


def try_out(bundle: Bundle) -> None:
    """The shortest clip of words, by each of their ways, and an embedding of a picture.

    Raises ValueError when numbers come out that are none, and BundleDamaged or EngineFailed when a graph cannot be run.
    """
    card = bundle.card
    short = {way: replace(prior, steps=min(STEPS, prior.steps)) for way, prior in card.priors.items()}
    model = replace(load(bundle, SessionOptions()), card=replace(card, priors=short))
    cancellation = Cancellation()
    found = {way: model.words("sea waves", way, 0, cancellation) for way in card.conditionings}
    if card.image:
        found["image_tower"] = model.look([np.full((60, 80, 3), 128, np.uint8)], cancellation)
    order = GenerationParams(
        "sea waves", "", card.lengths.minimum, 0, STEPS, card.sampling.guidance, conditioning=card.default_conditioning
    )
    found["clip"] = model.run(order, lambda fraction, stage: None, cancellation).samples
    for name, numbers in found.items():
        if not np.isfinite(numbers).all():
            raise ValueError(f"{name}: the new bundle gives numbers that are none; are the weights whole?")
        if name != "clip" and numbers.shape != (1, card.embedding.size):
            raise ValueError(f"{name}: gives {numbers.shape}, expected (1, {card.embedding.size})")
