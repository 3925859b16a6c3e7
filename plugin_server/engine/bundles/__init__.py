"""Bundles on disk: their cards, where they are found, how they are installed."""
