"""Trained models for use without this library: ONNX and torch.export. ONNX needs the extra ``[onnx]``."""

from equiangular.export.write import INPUTS as INPUTS, export_model as export_model
