"""Print waits.pyi and awaits.pyi of the clients from the calls; a test fails if they are not current."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from consilium.app.client.methods import MODULES, described

FOLDER = Path(__file__).resolve().parents[1] / "src" / "consilium" / "app" / "client"
HEAD = '''"""The methods of a client as a type checker and an editor read them.

Printed by ``python tests/client_stub.py``; at run time `consilium.app.client.methods` makes them.
"""
'''
KINDS = {"Waits": ("def", "waits for its answers"), "Awaits": ("async def", "awaits its answers")}


def functions() -> Iterator[ast.FunctionDef]:
    """Return the calls as they are written, in the order of their modules."""
    wanted = {function.__name__ for function in described()}
    for module in MODULES:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.FunctionDef) and node.name in wanted:
                yield node


def answer_of(function: ast.FunctionDef) -> ast.expr:
    """Return ``X`` of ``-> Call[X]``."""
    assert isinstance(function.returns, ast.Subscript)
    return function.returns.slice


def method(function: ast.FunctionDef, word: str) -> str:
    """Return a call as a method of a client."""
    given = function.args
    given.args = [ast.arg("self"), *(arg for arg in given.args if arg.arg != "self")]
    head = f"    {word} {function.name}({ast.unparse(given)}) -> {ast.unparse(answer_of(function))}:"
    return f'{head}\n        """{ast.get_docstring(function)}"""\n'


def imports() -> str:
    """Return the imports of the names that stand in parameters and answers."""
    used = {
        node.id
        for function in functions()
        for part in (function.args, answer_of(function))
        for node in ast.walk(part)
        if isinstance(node, ast.Name)
    }
    found: dict[str, set[str]] = {}
    for module in MODULES:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names} & used
                found.setdefault(str(node.module), set()).update(names)
    lines = [
        f"from {where} import {', '.join(sorted(names, key=str.casefold))}"
        for where, names in found.items()
        if names
    ]
    ours = sorted(line for line in lines if line.startswith("from consilium"))
    return "\n".join([*sorted(set(lines).difference(ours)), "", *ours])


def page(name: str) -> str:
    """Return the stub of one class."""
    word, told = KINDS[name]
    head = [
        HEAD,
        imports(),
        "",
        f"class {name}:",
        f'    """What can be asked by a client that {told}."""',
        "",
    ]
    return "\n".join([*head, *(method(function, word) for function in functions())])


def place(name: str) -> Path:
    """Return where the stub of a class stands."""
    return FOLDER / f"{name.lower()}.pyi"


if __name__ == "__main__":
    for kind in KINDS:
        place(kind).write_text(page(kind))
