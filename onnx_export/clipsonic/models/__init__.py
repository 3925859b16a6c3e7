"""The networks of CLIPSonic in PyTorch."""
