import pytest

from tests.engines import PROJECT
from tests.history.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_still_a_mutant_of_the_service(mutant: Mutant) -> None:
    module = PROJECT / "app" / mutant.module

    assert module.read_text().count(mutant.text) == 1
