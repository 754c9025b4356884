"""Trained models for use without this library: ONNX and torch.export. ONNX needs the extra ``[onnx]``."""

from equiangular.export.write import INPUTS, export_model

__all__ = ["INPUTS", "export_model"]
