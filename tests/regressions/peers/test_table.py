"""docs/peers.md lists each test of a report with its threads, and each test that it lists is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
HERE = "tests/regressions/peers/"


def claims_of(file: Path) -> dict[str, str]:
    """Docstrings of the tests of a file, by name."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in found if node.name.startswith("test_")}


ROWS = [line.split("|") for line in PAGE.splitlines() if re.match(r"\| .*::test_", line)]
LISTED = [
    (threads, path, name)
    for _, _, threads, *rest in ROWS
    for path, name in re.findall(r"`(\S+)::(\w+)`", rest[0])
]


@pytest.mark.parametrize(("threads", "path", "name"), LISTED, ids=[name for *_, name in LISTED])
def test_a_listed_test_is_there_and_cites_its_thread(threads, path, name):
    file = ROOT / (path if "/" in path else HERE + path)
    found = claims_of(file)
    assert name in found
    if file.parent == ROOT / HERE:
        assert any(thread.strip() in found[name] for thread in threads.split(","))


def test_each_thread_of_a_test_is_listed():
    for file in (ROOT / HERE).glob("test_*.py"):
        for name, text in claims_of(file).items():
            for thread in re.findall(r"[\w.-]+#\d+", text):
                assert thread in PAGE, (name, thread)
