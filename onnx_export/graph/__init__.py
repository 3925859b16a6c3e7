"""PyTorch modules to ONNX graphs, and back."""
