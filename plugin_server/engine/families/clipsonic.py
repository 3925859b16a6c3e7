"""CLIPSonic (Dong et al., WASPAA 2023): text or images to sound.

A joint embedding conditions a diffusion model over log-mel spectrograms, and a vocoder makes the waveform.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_server.audio.spectral import istft, match_mel
from plugin_server.engine.bundles.card import Card
from plugin_server.engine.bundles.registry import Bundle
from plugin_server.engine.inputs.images import normalise, read_images
from plugin_server.engine.inputs.tokenizer import Tokenizer
from plugin_server.engine.messages import AudioOutput, GenerationParams, ProgressCallback
from plugin_server.engine.sampling.band_statistics import with_band_statistics
from plugin_server.engine.sampling.label_anchors import LabelAnchors
from plugin_server.engine.sampling.prior import sample_prior, slerp
from plugin_server.engine.sampling.solvers import (
    SOLVERS,
    Denoise,
    channel_noise,
    circular_shift,
    classifier_free_guidance,
    flow_sigmas,
    listed_sigmas,
)
from plugin_server.engine.sessions import Cancellation, GraphSession, SessionOptions
from plugin_server.errors import BundleDamaged, EngineFailed

TOKENIZER_FILE = "merges.txt.gz"
SPECTRUM, SAMPLES = "spectrum", "samples"
"""Outputs that a vocoder may have: (batch, 2, n_bins, frames), real and imaginary parts, or (batch, frames * hop)."""
SHARES = {"condition": 0.02, "sampling": 0.83, "vocoder": 0.15}
"""About the share of the time that each stage takes, for an honest progress bar."""
SEAM_FRAMES = 64
"""Frames that a loop's mel is read on past both ends before the vocoder: more than its convolutions and the rounds
behind it reach."""


def load(bundle: Bundle, options: SessionOptions) -> "Clipsonic":
    """Open every graph that the card names, three at least, and return the model. Raises BundleDamaged."""
    card = bundle.card
    vocoder_output = card.graphs["vocoder"].outputs[0].name if "vocoder" in card.graphs else SPECTRUM
    if vocoder_output not in (SPECTRUM, SAMPLES):
        raise BundleDamaged(f"{bundle.path('vocoder')} gives {vocoder_output!r}, expected {SPECTRUM!r} or {SAMPLES!r}")

    def open_graph(name: str) -> GraphSession:
        return GraphSession(bundle.path(name), card.graphs[name], options)

    graphs = {name: open_graph(name) for name in ("text_tower", "denoiser", "vocoder")}
    image_tower = open_graph("image_tower") if card.image else None
    priors = {name: open_graph(spec.graph) for name, spec in card.priors.items()}
    anchors = None
    if card.label_anchors:
        anchors = LabelAnchors.read(bundle.folder / card.label_anchors.file, card.label_anchors, card.embedding.size)
    tokenizer = Tokenizer(bundle.folder / TOKENIZER_FILE, card.context_length)
    return Clipsonic(card, tokenizer, anchors, image_tower=image_tower, priors=priors, **graphs)


@dataclass(frozen=True, slots=True)
class Conditioning:
    """The inputs that steer the denoiser."""

    positive: NDArray[np.float32]
    """Joint embedding, float32 (1, size)."""
    negative: NDArray[np.float32] | None
    """The same of the negative prompt; None without one."""
    guidance: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Clipsonic:
    """A loaded model: words and pictures to samples."""

    card: Card
    tokenizer: Tokenizer
    label_anchors: LabelAnchors | None
    text_tower: GraphSession
    denoiser: GraphSession
    vocoder: GraphSession
    image_tower: GraphSession | None
    priors: Mapping[str, GraphSession]
    """By the name of the conditioning that goes through each."""

    @property
    def provider(self) -> str:
        """Return the provider of the denoiser, which does nearly all the work."""
        return self.denoiser.provider

    @property
    def sample_rate(self) -> int:
        """Return the sample rate in hertz."""
        return self.card.mel.sample_rate

    def run(self, params: GenerationParams, report: ProgressCallback, cancellation: Cancellation) -> AudioOutput:
        """Return whole mel frames of sound: those that cover `params.seconds`, or for a loop those nearest to it."""
        report(0.0, "condition")
        positive = self.embed(params, cancellation)
        nearest, confidence = self.label_anchors.nearest(positive) if self.label_anchors else ("", 1.0)
        if self.label_anchors:
            positive = self.label_anchors.pull_to_anchors(positive)
        negative = self.embed_text(params.negative, cancellation) if params.negative else None
        report(SHARES["condition"], "sampling")
        mels = self.sample(params, positive, negative, report, cancellation)
        report(1 - SHARES["vocoder"], "vocoder")
        channels = [self.vocode(mel, cancellation, loop=params.loop) for mel in mels]
        return AudioOutput(np.stack(channels, axis=1), confidence, nearest, *self.count_heard(params))

    def count_heard(self, params: GenerationParams) -> tuple[int, int]:
        """Return how many words fit into the context, and how many there are.

        Those of the prompt, and of the negative prompt, too, where that is cut off.
        """
        n_heard, n_words = self.tokenizer.count_heard(params.prompt)
        n_negative_heard, n_negative = self.tokenizer.count_heard(params.negative)
        if n_negative_heard < n_negative:
            return n_heard + n_negative_heard, n_words + n_negative
        return n_heard, n_words

    def embed(self, params: GenerationParams, cancellation: Cancellation) -> NDArray[np.float32]:
        """Return the joint embedding of words, of pictures or of a point between them, float32 (1, size), unit length.

        Raises BadFile for a picture that cannot be read, Cancelled, EngineFailed.
        """
        if not params.images or (params.prompt and params.blend <= 0):
            return self.embed_prompt(params.prompt, params.conditioning, params.seed, cancellation)
        pictures = self._embed_image_files(params, cancellation)
        if not params.prompt or params.blend >= 1:
            return pictures
        return slerp(
            self.embed_prompt(params.prompt, params.conditioning, params.seed, cancellation), pictures, params.blend
        )

    def embed_prompt(
        self, prompt: str, conditioning: str, seed: int, cancellation: Cancellation
    ) -> NDArray[np.float32]:
        """Return the joint embedding of words by one of the card's conditionings, float32 (1, size), unit length."""
        if conditioning not in self.priors:
            return self.embed_text(prompt, cancellation)
        spec, graph = self.card.priors[conditioning], self.priors[conditioning]
        texts = [prompt, ""][: 1 + (spec.guidance != 1)]
        each = [self._prior_feeds(graph, text, cancellation) for text in texts]
        fixed = {name: np.concatenate([feeds[name] for feeds in each]) for name in each[0]}

        def predict(x: NDArray[np.float32], t: float) -> NDArray[np.float32]:
            cancellation.check()
            moving = {"noised": np.repeat(x, len(texts), axis=0), "timestep": np.full(len(texts), t, np.float32)}
            estimates: NDArray[np.float32] = graph.run(moving | fixed, cancellation)[0][:, None]
            if len(estimates) == 1:
                only: NDArray[np.float32] = estimates[0]
                return only
            conditional, unconditional = estimates
            guided: NDArray[np.float32] = unconditional + np.float32(spec.guidance) * (conditional - unconditional)
            return guided

        return sample_prior(predict, spec, self.card.embedding.size, seed)

    def embed_text(self, prompt: str, cancellation: Cancellation) -> NDArray[np.float32]:
        """Return the text tower's embedding of words, float32 (1, size), unit length."""
        return self.text_tower.run({"tokens": self.tokenizer(prompt)}, cancellation)[0]

    def embed_images(self, pictures: list[NDArray[np.uint8]], cancellation: Cancellation) -> NDArray[np.float32]:
        """Return the image tower's embeddings of pictures uint8 (height, width, 3), float32 (n, size), unit length."""
        if self.image_tower is None or self.card.image is None:
            raise EngineFailed(f"{self.card.name} takes no pictures")
        return self.image_tower.run({"pictures": normalise(pictures, self.card.image)}, cancellation)[0]

    def _embed_image_files(self, params: GenerationParams, cancellation: Cancellation) -> NDArray[np.float32]:
        """Return the mean embedding of the pictures: each file counts once, however many frames are taken of it."""
        files = []
        for path in params.images:
            cancellation.check()
            files.append(self.embed_images(read_images(Path(path), params.frames), cancellation).mean(axis=0))
        middle = np.sum([file / np.linalg.norm(file) for file in files], axis=0, keepdims=True)
        unit: NDArray[np.float32] = (middle / np.linalg.norm(middle)).astype(np.float32)
        return unit

    def _prior_feeds(
        self, graph: GraphSession, text: str, cancellation: Cancellation
    ) -> dict[str, NDArray[np.floating]]:
        """Return the inputs of a prior beside the noised embedding: the text tower's outputs by name, and `mask`.

        The mask is float32 (1, context), 1 for each token up to the end mark.
        """
        tokens = self.tokenizer(text)
        names = (tensor.name for tensor in self.card.graphs["text_tower"].outputs)
        feeds = dict(zip(names, self.text_tower.run({"tokens": tokens}, cancellation), strict=True))
        # The end mark is the highest id, and what follows it is padding.
        end = int(tokens[0].argmax())
        feeds["mask"] = (np.arange(tokens.shape[1]) <= end)[None].astype(np.float32)
        return {name: feeds[name] for name in graph.input_names if name in feeds}

    def sample(
        self,
        params: GenerationParams,
        positive: NDArray[np.float32],
        negative: NDArray[np.float32] | None,
        report: ProgressCallback,
        cancellation: Cancellation,
    ) -> NDArray[np.float32]:
        """Return log-mels, float32 (channels, n_mels, frames), sampled from noise of the seed in `params`."""
        card, sampling = self.card, self.card.sampling
        frames = self._n_frames(params)
        noise = channel_noise((card.mel.n_mels, frames), params.stereo, params.seed)
        seconds = frames * card.mel.hop / card.mel.sample_rate
        denoise = self._denoiser(Conditioning(positive, negative, params.guidance, seconds), cancellation)
        if params.loop:
            denoise = circular_shift(denoise, card.frame_multiple, params.seed)
        mean, std = (np.array(numbers, np.float32)[:, None] for numbers in (card.mel_mean, card.mel_std))
        statistics = None
        if self.label_anchors and sampling.band_statistics:
            spread = sampling.band_statistics_spread
            statistics = self.label_anchors.sample_band_statistics(positive, spread, params.seed)
        if statistics:
            denoise = with_band_statistics(denoise, statistics, mean, std, sampling.band_statistics_share)

        def on_step(step: int) -> None:
            cancellation.check()
            report(SHARES["condition"] + SHARES["sampling"] * step / params.steps, "sampling")

        listed, steps = sampling.sigmas, params.steps
        sigmas = listed_sigmas(steps, listed) if listed else flow_sigmas(steps, sampling.shift)
        normal = SOLVERS[sampling.solver](denoise, noise, sigmas, on_step)
        return normal * std + mean

    def _n_frames(self, params: GenerationParams) -> int:
        mel, multiple = self.card.mel, self.card.frame_multiple
        if params.loop:
            return max(multiple, round(params.seconds * mel.sample_rate / mel.hop))
        return -(-mel.n_frames(round(params.seconds * mel.sample_rate)) // multiple) * multiple

    def _denoiser(self, conditioning: Conditioning, cancellation: Cancellation) -> Denoise:
        """Return the denoiser with its conditioning: one call a step where guidance is 1 or an input, else two."""
        takes_guidance = any(tensor.name == "guidance" for tensor in self.card.graphs["denoiser"].inputs)

        def call(
            x: NDArray[np.float32], sigma: float, embedding: NDArray[np.float32], guidance: float = 1.0
        ) -> NDArray[np.float32]:
            n = len(x)
            feeds = {
                "noised": x,
                "sigma": np.full(n, sigma, np.float32),
                "embedding": embedding,
                "seconds": np.full(n, conditioning.seconds, np.float32),
            }
            if takes_guidance:
                feeds["guidance"] = np.full(n, guidance, np.float32)
            return self.denoiser.run(feeds, cancellation)[0]

        positive, negative, guidance = conditioning.positive, conditioning.negative, conditioning.guidance
        is_distilled = (
            takes_guidance and negative is None and 1 <= guidance <= self.card.sampling.distilled_guidance_max
        )
        if is_distilled or guidance == 1:
            return lambda x, sigma: call(x, sigma, np.repeat(positive, len(x), axis=0), guidance)
        other = np.zeros_like(positive) if negative is None else negative

        def pair(x: NDArray[np.float32], sigma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            both = call(np.concatenate([x, x]), sigma, np.repeat(np.concatenate([positive, other]), len(x), axis=0))
            return both[: len(x)], both[len(x) :]

        return classifier_free_guidance(pair, guidance)

    def vocode(
        self, mel: NDArray[np.float32], cancellation: Cancellation, *, loop: bool = False
    ) -> NDArray[np.float32]:
        """Return the samples, float32 (frames * hop,), of a log-mel (n_mels, frames); a loop's end joins its start."""
        margin = SEAM_FRAMES if loop else 0
        whole = np.pad(mel.astype(np.float32), ((0, 0), (margin, margin)), mode="wrap")
        output = self.vocoder.run({"log_mel": whole[None]}, cancellation)[0][0]
        samples = self._samples_of_spectrum(output, whole, cancellation) if self.gives_spectrum else output
        cut = margin * self.card.mel.hop
        return samples[cut : len(samples) - cut]

    @property
    def gives_spectrum(self) -> bool:
        """Return True where the vocoder gives a spectrum, False where it gives samples."""
        return self.card.graphs["vocoder"].outputs[0].name == SPECTRUM

    def _samples_of_spectrum(
        self, spectrum: NDArray[np.float32], mel: NDArray[np.float32], cancellation: Cancellation
    ) -> NDArray[np.float32]:
        """Return the samples of a spectrum (2, n_bins, frames), brought closer to a log-mel (n_mels, frames)."""
        samples = istft(spectrum[0] + 1j * spectrum[1], self.card.mel)
        cancellation.check()
        return match_mel(samples, mel, self.card.mel, self.card.sampling.mel_rounds)
