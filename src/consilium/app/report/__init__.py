"""The report of a backtest or of the judge: one HTML page, one JSON file, or a terminal."""

from consilium.app.report.page import page, write_html
from consilium.app.report.plain import JUDGE_SCHEMA, SCHEMA, write_json
from consilium.app.report.terminal import print_report

__all__ = ["JUDGE_SCHEMA", "SCHEMA", "page", "print_report", "write_html", "write_json"]
