"""The costs of training and inference: FLOPs, memory and time."""
