"""`python -m onnx_export` trains, exports and evaluates models."""

from onnx_export.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
