"""Prompt banks: their files, the loaded bank, and export as sampler instruments."""
