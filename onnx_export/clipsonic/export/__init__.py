"""Trained checkpoints of CLIPSonic to a bundle, and back."""
