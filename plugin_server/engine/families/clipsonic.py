"""CLIPSonic (Dong et al., WASPAA 2023): a joint embedding conditions a diffusion model over log-mel spectrograms,
and a vocoder makes the waveform."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_server.audio.spectral import istft, match_mel
from plugin_server.engine.bundles.card import Card
from plugin_server.engine.bundles.registry import Bundle
from plugin_server.engine.inputs.images import normalise, read_pictures
from plugin_server.engine.inputs.tokenizer import Tokenizer
from plugin_server.engine.messages import AudioOutput, GenerationParams, ProgressCallback
from plugin_server.engine.sampling.band_statistics import tinted
from plugin_server.engine.sampling.label_anchors import LabelAnchors
from plugin_server.engine.sampling.prior import sample_prior, slerp
from plugin_server.engine.sampling.solvers import (
    SOLVERS,
    Denoise,
    channel_noise,
    circular_shift,
    classifier_free_guidance,
    flow_sigmas,
)
from plugin_server.engine.sessions import Cancellation, GraphSession, SessionOptions
from plugin_server.errors import BundleDamaged, EngineFailed

TOKENIZER_FILE = "merges.txt.gz"
SPECTRUM, SAMPLES = "spectrum", "samples"
"""What a vocoder may give: (batch, 2, n_bins, frames), real and imaginary parts, or (batch, frames * hop)."""
SHARES = {"condition": 0.02, "sampling": 0.83, "vocoder": 0.15}
"""About the share of the time that each stage takes, for an honest progress bar."""


SEAM_FRAMES = 64
"""Frames that a loop's mel is read on past both ends before the vocoder: more than its convolutions and the rounds
behind it reach."""


def load(bundle: Bundle, options: SessionOptions) -> "Clipsonic":
    """Open every graph that the card names, three at least. Raises BundleDamaged."""
    card = bundle.card
    gives = card.graphs["vocoder"].outputs[0].name if "vocoder" in card.graphs else SPECTRUM
    if gives not in (SPECTRUM, SAMPLES):
        raise BundleDamaged(f"{bundle.path('vocoder')} gives {gives!r}, expected {SPECTRUM!r} or {SAMPLES!r}")

    def open_graph(name: str) -> GraphSession:
        return GraphSession(bundle.path(name), card.graphs[name], options)

    graphs = {name: open_graph(name) for name in ("text_tower", "denoiser", "vocoder")}
    image_tower = open_graph("image_tower") if card.image else None
    priors = {way: open_graph(spec.graph) for way, spec in card.priors.items()}
    known = None
    if card.label_anchors:
        known = LabelAnchors.read(bundle.folder / card.label_anchors.file, card.label_anchors, card.embedding.size)
    tokenizer = Tokenizer(bundle.folder / TOKENIZER_FILE, card.context_length)
    return Clipsonic(card, tokenizer, known, image_tower=image_tower, priors=priors, **graphs)


@dataclass(frozen=True, slots=True)
class Condition:
    """What the denoiser is steered by."""

    wanted: NDArray[np.float32]
    """Joint embedding, float32 (1, size)."""
    unwanted: NDArray[np.float32] | None
    """The same of what to keep away from; None for nothing in particular."""
    guidance: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Clipsonic:
    """Words and pictures to samples."""

    card: Card
    tokenizer: Tokenizer
    label_anchors: LabelAnchors | None
    text_tower: GraphSession
    denoiser: GraphSession
    vocoder: GraphSession
    image_tower: GraphSession | None
    priors: Mapping[str, GraphSession]
    """By the way that words take through each."""

    @property
    def provider(self) -> str:
        """Of the denoiser, which does nearly all the work."""
        return self.denoiser.provider

    @property
    def sample_rate(self) -> int:
        """Hertz."""
        return self.card.mel.sample_rate

    def run(self, order: GenerationParams, report: ProgressCallback, cancellation: Cancellation) -> AudioOutput:
        """Whole mel frames: those that cover `order.seconds`, or for a loop those nearest to it."""
        report(0.0, "condition")
        wanted = self.condition(order, cancellation)
        nearest, confidence = self.label_anchors.nearest(wanted) if self.label_anchors else ("", 1.0)
        if self.label_anchors:
            wanted = self.label_anchors.draw_near(wanted)
        unwanted = self.embed(order.negative, cancellation) if order.negative else None
        report(SHARES["condition"], "sampling")
        mels = self.sample(order, wanted, unwanted, report, cancellation)
        report(1 - SHARES["vocoder"], "vocoder")
        channels = [self.vocode(mel, cancellation, order.loop) for mel in mels]
        return AudioOutput(np.stack(channels, axis=1), confidence, nearest)

    def condition(self, order: GenerationParams, cancellation: Cancellation) -> NDArray[np.float32]:
        """Joint embedding of an order's words, its pictures or a point between them, float32 (1, size), unit length.

        Raises BadFile for a picture that cannot be read, Cancelled, EngineFailed.
        """
        if not order.images or (order.prompt and order.blend <= 0):
            return self.words(order.prompt, order.conditioning, order.seed, cancellation)
        pictures = self._see(order, cancellation)
        if not order.prompt or order.blend >= 1:
            return pictures
        return slerp(self.words(order.prompt, order.conditioning, order.seed, cancellation), pictures, order.blend)

    def words(self, prompt: str, way: str, seed: int, cancellation: Cancellation) -> NDArray[np.float32]:
        """Joint embedding of words by one of the card's ways, float32 (1, size), unit length."""
        if way not in self.priors:
            return self.embed(prompt, cancellation)
        spec, graph = self.card.priors[way], self.priors[way]
        texts = [prompt, ""][: 1 + (spec.guidance != 1)]
        each = [self._prior_feeds(graph, text, cancellation) for text in texts]
        fixed = {name: np.concatenate([feeds[name] for feeds in each]) for name in each[0]}

        def predict(x: NDArray[np.float32], level: float) -> NDArray[np.float32]:
            cancellation.check()
            moving = {"noised": np.repeat(x, len(texts), axis=0), "timestep": np.full(len(texts), level, np.float32)}
            wanted, *plain = graph.run(moving | fixed, cancellation)[0][:, None]
            clean: NDArray[np.float32] = plain[0] + np.float32(spec.guidance) * (wanted - plain[0]) if plain else wanted
            return clean

        return sample_prior(predict, spec, self.card.embedding.size, seed)

    def embed(self, prompt: str, cancellation: Cancellation) -> NDArray[np.float32]:
        """Where the text tower puts words, float32 (1, size), unit length."""
        return self.text_tower.run({"tokens": self.tokenizer(prompt)}, cancellation)[0]

    def look(self, pictures: list[NDArray[np.uint8]], cancellation: Cancellation) -> NDArray[np.float32]:
        """Where the image tower puts pictures uint8 (height, width, 3), float32 (n, size), unit length."""
        if self.image_tower is None or self.card.image is None:
            raise EngineFailed(f"{self.card.name} takes no pictures")
        return self.image_tower.run({"pictures": normalise(pictures, self.card.image)}, cancellation)[0]

    def _see(self, order: GenerationParams, cancellation: Cancellation) -> NDArray[np.float32]:
        """The middle of an order's pictures: each file counts once, however many frames are taken of it."""
        files = []
        for path in order.images:
            cancellation.check()
            files.append(self.look(read_pictures(Path(path), order.frames), cancellation).mean(axis=0))
        middle = np.sum([file / np.linalg.norm(file) for file in files], axis=0, keepdims=True)
        unit: NDArray[np.float32] = (middle / np.linalg.norm(middle)).astype(np.float32)
        return unit

    def _prior_feeds(
        self, graph: GraphSession, text: str, cancellation: Cancellation
    ) -> dict[str, NDArray[np.floating]]:
        """What a prior takes beside the noised embedding: outputs of the text tower by their names, and `mask`, float32
        (1, context), which is 1 for each token up to the end mark."""
        tokens = self.tokenizer(text)
        names = (tensor.name for tensor in self.card.graphs["text_tower"].outputs)
        known = dict(zip(names, self.text_tower.run({"tokens": tokens}, cancellation), strict=True))
        # The end mark is the highest id, and what follows it is padding.
        end = int(tokens[0].argmax())
        known["mask"] = (np.arange(tokens.shape[1]) <= end)[None].astype(np.float32)
        return {name: known[name] for name in graph.input_names if name in known}

    def sample(
        self,
        order: GenerationParams,
        wanted: NDArray[np.float32],
        unwanted: NDArray[np.float32] | None,
        report: ProgressCallback,
        cancellation: Cancellation,
    ) -> NDArray[np.float32]:
        """Log-mels, float32 (channels, n_mels, frames), from noise of the order's seed."""
        card, sampling = self.card, self.card.sampling
        frames = self._n_frames(order)
        noise = channel_noise((card.mel.n_mels, frames), order.stereo, order.seed)
        seconds = frames * card.mel.hop / card.mel.sample_rate
        denoise = self._denoise(Condition(wanted, unwanted, order.guidance, seconds), cancellation)
        if order.loop:
            denoise = circular_shift(denoise, card.frame_multiple, order.seed)
        mean, std = (np.array(numbers, np.float32)[:, None] for numbers in (card.mel_mean, card.mel_std))
        colour = self.label_anchors and self.label_anchors.draw_colour(
            wanted, sampling.band_statistics_spread, order.seed
        )
        if colour:
            denoise = tinted(denoise, colour, mean, std)

        def on_step(step: int) -> None:
            cancellation.check()
            report(SHARES["condition"] + SHARES["sampling"] * step / order.steps, "sampling")

        normal = SOLVERS[sampling.solver](denoise, noise, flow_sigmas(order.steps, sampling.shift), on_step)
        return normal * std + mean

    def _n_frames(self, order: GenerationParams) -> int:
        mel, multiple = self.card.mel, self.card.frame_multiple
        if order.loop:
            return max(multiple, round(order.seconds * mel.sample_rate / mel.hop))
        return -(-mel.n_frames(round(order.seconds * mel.sample_rate)) // multiple) * multiple

    def _denoise(self, condition: Condition, cancellation: Cancellation) -> Denoise:
        """The denoiser under its condition: one call a step where guidance is 1 or the graph's own, else two."""
        own_guidance = any(tensor.name == "guidance" for tensor in self.card.graphs["denoiser"].inputs)

        def call(
            x: NDArray[np.float32], sigma: float, embedding: NDArray[np.float32], guidance: float = 1.0
        ) -> NDArray[np.float32]:
            n = len(x)
            feeds = {
                "noised": x,
                "sigma": np.full(n, sigma, np.float32),
                "embedding": embedding,
                "seconds": np.full(n, condition.seconds, np.float32),
            }
            if own_guidance:
                feeds["guidance"] = np.full(n, guidance, np.float32)
            return self.denoiser.run(feeds, cancellation)[0]

        wanted, unwanted, guidance = condition.wanted, condition.unwanted, condition.guidance
        taught = own_guidance and unwanted is None and 1 <= guidance <= self.card.sampling.distilled_guidance_max
        if taught or guidance == 1:
            return lambda x, sigma: call(x, sigma, np.repeat(wanted, len(x), axis=0), guidance)
        plain = np.zeros_like(wanted) if unwanted is None else unwanted

        def pair(x: NDArray[np.float32], sigma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            both = call(np.concatenate([x, x]), sigma, np.repeat(np.concatenate([wanted, plain]), len(x), axis=0))
            return both[: len(x)], both[len(x) :]

        return classifier_free_guidance(pair, guidance)

    def vocode(self, mel: NDArray[np.float32], cancellation: Cancellation, loop: bool = False) -> NDArray[np.float32]:
        """Samples, float32 (frames * hop,), of a log-mel (n_mels, frames); a loop's end flows into its start."""
        margin = SEAM_FRAMES if loop else 0
        whole = np.pad(mel.astype(np.float32), ((0, 0), (margin, margin)), mode="wrap")
        found = self.vocoder.run({"log_mel": whole[None]}, cancellation)[0][0]
        samples = self._mended(found, whole, cancellation) if self._by_spectrum else found
        cut = margin * self.card.mel.hop
        return samples[cut : len(samples) - cut]

    @property
    def _by_spectrum(self) -> bool:
        """True where the vocoder gives a spectrum, False where it gives samples."""
        return self.card.graphs["vocoder"].outputs[0].name == SPECTRUM

    def _mended(
        self, parts: NDArray[np.float32], mel: NDArray[np.float32], cancellation: Cancellation
    ) -> NDArray[np.float32]:
        """Samples of a spectrum (2, n_bins, frames), brought closer to a log-mel (n_mels, frames)."""
        samples = istft(parts[0] + 1j * parts[1], self.card.mel)
        cancellation.check()
        return match_mel(samples, mel, self.card.mel, self.card.sampling.mel_rounds)
