"""Diffusion sampling and what is applied to its estimates."""
