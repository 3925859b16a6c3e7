"""Adversarial training of the vocoder: its crops, its losses, and the discriminators."""
