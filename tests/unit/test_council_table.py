import doctest
from pathlib import Path

from consilium.council.roles import ROLES
from consilium.council.table import RULES, page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "council.md"


def test_the_page_shows_the_table_that_the_officers_use() -> None:
    assert page() in PAGE.read_text()


def test_the_table_has_every_row_once_with_its_officer() -> None:
    rows = "F0 F1 F2 F3 F4 F5 F6 L1 S1 U1 V1 M1 M2 M3 M4 P0 P1 P2 P3 P4 R1 R2 R3 E1 C1 C2 C3 B1 B2 B3 B4 Q1"
    assert list(RULES) == [*rows.split(), "A1", "A2", "O1"]
    assert {row.officer for row in RULES.values()} == {*ROLES, "operator"}
    assert "F1 | supervisor | drawdown > 10 %" in page()
    assert "R1 | cro | drawdown up > 2 % in 24 h, or exposure > 85 %" in page()


def test_the_examples_of_the_page_run() -> None:
    text = PAGE.read_text().replace("```", "\n")
    examples = doctest.DocTestParser().get_doctest(text, {}, "council.md", str(PAGE), 0)
    assert len(examples.examples) > 5
    assert doctest.DocTestRunner().run(examples).failed == 0
