"""Official weights of others to the graphs of a bundle: CLIP's towers, an unCLIP prior, BigVGAN."""
