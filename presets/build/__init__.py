"""Generators of the clients and pictures that ship."""
