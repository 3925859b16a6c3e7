"""Prompts and images as the numbers that a model takes."""
