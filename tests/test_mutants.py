"""The list of mutants keeps up with the code (`make mutants` runs them)."""

import ast
from collections import Counter

import pytest
from run_mutants import ROOT, Mutant, main, read_mutants

MUTANTS = read_mutants()


def test_there_are_enough_and_none_twice():
    assert len(MUTANTS) >= 40
    for values in ([m.name for m in MUTANTS], [(m.file, m.old, m.new, m.tests) for m in MUTANTS]):
        assert not [value for value, number in Counter(values).items() if number > 1]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code_and_still_parses(mutant: Mutant):
    assert mutant.old != mutant.new
    changed = mutant.applied(ROOT)
    if mutant.file.endswith(".py"):
        ast.parse(changed)


def test_the_tests_that_are_to_fail_are_there():
    for mutant in MUTANTS:
        assert mutant.tests
        for test in mutant.tests:
            path, _, name = test.partition("::")
            names = {
                node.name
                for node in ast.walk(ast.parse((ROOT / path).read_text()))
                if isinstance(node, ast.FunctionDef)
            }
            assert not name or name.partition("[")[0] in names, f"{mutant.name}: {test}"


def test_an_unknown_name_is_bad_usage(capsys):
    assert main(["no-such-mutant"]) == 2
    assert "no-such-mutant: no mutant of that name" in capsys.readouterr().err
