"""Models in PyTorch: their training, evaluation and export to bundles. Never imported by the server."""
