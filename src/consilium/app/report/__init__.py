"""The report of a backtest: one HTML page, one JSON file, or a terminal."""

from consilium.app.report.page import page, write_html
from consilium.app.report.plain import SCHEMA, write_json
from consilium.app.report.terminal import print_report

__all__ = ["SCHEMA", "page", "print_report", "write_html", "write_json"]
