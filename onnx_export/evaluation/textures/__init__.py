"""Figures of textures: sounds that are made of grain, such as rain and wind."""
