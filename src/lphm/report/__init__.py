"""A run as one page of HTML that needs nothing beside itself: no network, no library, no other file."""

from lphm.report.page import write_report

__all__ = ["write_report"]
