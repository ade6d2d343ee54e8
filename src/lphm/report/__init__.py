"""Write a run as one self-contained HTML page: it loads no other file and nothing from the network."""

from lphm.report.page import write_report

__all__ = ["write_report"]
