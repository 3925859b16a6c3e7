"""Training of the denoiser with all data on the device: batches are drawn, cropped and mixed there."""
