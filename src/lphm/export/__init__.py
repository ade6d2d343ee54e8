"""A trained run as one file that scores without this package: ONNX, or a program of ``torch.export``."""

from lphm.export.files import export_run

__all__ = ["export_run"]
