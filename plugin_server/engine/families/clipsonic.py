"""CLIPSonic (Dong et al., WASPAA 2023): a joint embedding conditions a diffusion model over log-mel spectrograms,
and a vocoder makes the waveform."""

from dataclasses import dataclass

import numpy as np

from plugin_server.audio.spectral import istft
from plugin_server.engine.bundles import Bundle
from plugin_server.engine.card import Card
from plugin_server.engine.order import Report, TakeOrder
from plugin_server.engine.sampler import SOLVERS, Denoise, flow_sigmas, guided
from plugin_server.engine.sessions import Cancellation, GraphSession, SessionOptions
from plugin_server.engine.tokenizer import Tokenizer

TOKENIZER_FILE = "merges.txt.gz"
SHARES = {"text": 0.02, "sampling": 0.83, "vocoder": 0.15}
"""About the share of the time that each stage takes, for an honest progress bar."""


def load(bundle: Bundle, options: SessionOptions) -> "Clipsonic":
    """Open the three graphs. Raises BundleDamaged."""
    graphs = {
        name: GraphSession(bundle.path(name), bundle.card.graphs[name], options)
        for name in ("text_tower", "denoiser", "vocoder")
    }
    return Clipsonic(bundle.card, Tokenizer(bundle.folder / TOKENIZER_FILE, bundle.card.context_length), **graphs)


@dataclass(frozen=True, slots=True)
class Clipsonic:
    """Prompt to samples."""

    card: Card
    tokenizer: Tokenizer
    text_tower: GraphSession
    denoiser: GraphSession
    vocoder: GraphSession

    @property
    def provider(self) -> str:
        """Of the denoiser, which does nearly all the work."""
        return self.denoiser.provider

    @property
    def sample_rate(self) -> int:
        """Hertz."""
        return self.card.mel.sample_rate

    def run(self, order: TakeOrder, report: Report, cancellation: Cancellation) -> np.ndarray:
        """Samples, float32 (frames, 1): whole mel frames that cover `order.seconds`."""
        report(0.0, "text")
        wanted = self.embed(order.prompt, cancellation)
        unwanted = self.embed(order.negative, cancellation) if order.negative else np.zeros_like(wanted)
        report(SHARES["text"], "sampling")
        mel = self.sample(order, wanted, unwanted, report, cancellation)
        report(1 - SHARES["vocoder"], "vocoder")
        return self.vocode(mel, cancellation)[:, None]

    def embed(self, prompt: str, cancellation: Cancellation) -> np.ndarray:
        """Joint embedding of words, float32 (1, size), unit length."""
        return self.text_tower.run({"tokens": self.tokenizer(prompt)}, cancellation)[0]

    def sample(
        self,
        order: TakeOrder,
        wanted: np.ndarray,
        unwanted: np.ndarray,
        report: Report,
        cancellation: Cancellation,
    ) -> np.ndarray:
        """Log-mel, float32 (n_mels, frames), from noise of the order's seed."""
        card = self.card
        frames = card.mel.n_frames(round(order.seconds * card.mel.sample_rate))
        frames = -(-frames // card.frame_multiple) * card.frame_multiple
        noise = np.random.default_rng(order.seed).standard_normal((1, card.mel.n_mels, frames), np.float32)
        seconds = frames * card.mel.hop / card.mel.sample_rate
        denoise = self._denoise(np.concatenate([wanted, unwanted]), order.guidance, seconds, cancellation)

        def on_step(step: int) -> None:
            cancellation.check()
            report(SHARES["text"] + SHARES["sampling"] * step / order.steps, "sampling")

        solve = SOLVERS[card.sampling.solver]
        normal = solve(denoise, noise, flow_sigmas(order.steps, card.sampling.shift), on_step)[0]
        mean, std = (np.array(numbers, np.float32)[:, None] for numbers in (card.mel_mean, card.mel_std))
        return normal * std + mean

    def _denoise(self, conditions: np.ndarray, guidance: float, seconds: float, cancellation: Cancellation) -> Denoise:
        """The denoiser with its conditions (2, size), guided unless `guidance` is 1, which needs one call only."""

        def call(x: np.ndarray, sigma: float, embedding: np.ndarray) -> np.ndarray:
            n = len(embedding)
            feeds = {
                "noised": np.repeat(x, n, axis=0),
                "sigma": np.full(n, sigma, np.float32),
                "embedding": embedding,
                "seconds": np.full(n, seconds, np.float32),
            }
            return self.denoiser.run(feeds, cancellation)[0]

        if guidance == 1:
            return lambda x, sigma: call(x, sigma, conditions[:1])

        def pair(x: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
            both = call(x, sigma, conditions)
            return both[:1], both[1:]

        return guided(pair, guidance)

    def vocode(self, mel: np.ndarray, cancellation: Cancellation) -> np.ndarray:
        """Samples, float32 (frames * hop,), of a log-mel (n_mels, frames)."""
        parts = self.vocoder.run({"log_mel": mel[None].astype(np.float32)}, cancellation)[0][0]
        return istft(parts[0] + 1j * parts[1], self.card.mel)
