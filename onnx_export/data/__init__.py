"""Training data: sounds, images, texts and their attributions."""
