"""The commands of `python -m onnx_export`, one module each: `add` declares its arguments, `run` does its work.

What a command needs of PyTorch is imported when it runs: help stays quick.
"""
