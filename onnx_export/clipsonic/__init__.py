"""The CLIPSonic family: text tower, denoiser and vocoder."""
