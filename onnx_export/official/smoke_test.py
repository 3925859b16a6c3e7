"""The smoke test of a new bundle: its first sound, made by the server's own code."""

from dataclasses import replace

import numpy as np

from plugin_server.engine.bundles.registry import Bundle
from plugin_server.engine.families.clipsonic import load
from plugin_server.engine.messages import GenerationParams
from plugin_server.engine.sessions import Cancellation, SessionOptions

STEPS = 2
"""Enough to go through every graph."""
PROMPT = "sea waves"


def run_smoke_test(bundle: Bundle) -> None:
    """Embed a prompt by each conditioning and a picture, and generate the shortest clip.

    Raises:
        ValueError: When an embedding has another shape than the card says, or numbers come out that are none.
        BundleDamaged: When a graph cannot be opened.
        EngineFailed: When a graph cannot be run.
    """
    card = bundle.card
    priors = {name: replace(prior, steps=min(STEPS, prior.steps)) for name, prior in card.priors.items()}
    model = replace(load(bundle, SessionOptions()), card=replace(card, priors=priors))
    cancellation = Cancellation()
    outputs = {
        conditioning: model.embed_prompt(PROMPT, conditioning, 0, cancellation) for conditioning in card.conditionings
    }
    if card.image:
        outputs["image_tower"] = model.embed_images([np.full((60, 80, 3), 128, np.uint8)], cancellation)
    params = GenerationParams(
        PROMPT, "", card.lengths.minimum, 0, STEPS, card.sampling.guidance, conditioning=card.default_conditioning
    )
    outputs["clip"] = model.run(params, lambda _fraction, _stage: None, cancellation).samples
    for name, numbers in outputs.items():
        if not np.isfinite(numbers).all():
            raise ValueError(f"{name}: the new bundle gives numbers that are none; are the weights whole?")
        if name != "clip" and numbers.shape != (1, card.embedding.size):
            raise ValueError(f"{name}: gives {numbers.shape}, expected (1, {card.embedding.size})")
