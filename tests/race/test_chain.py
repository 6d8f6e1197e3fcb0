"""The proof of a race finds what a cheating service does."""

from dataclasses import replace

from app.race.chain import Attempt, Outcome, State, chain_between

FIRST = State(1, '"1-a"', "First")


def acknowledged(name: str, base: State) -> Attempt:
    return Attempt(1, name, base, Outcome.ACKNOWLEDGED, made(name, base), 0.0, 0.1)


def made(name: str, base: State) -> State:
    return State(base.version + 1, f'"{base.version + 1}-{name}"', name)


ONE = acknowledged("one", FIRST)
TWO = acknowledged("two", made("one", FIRST))
LAST = made("two", made("one", FIRST))


def test_race_whose_writes_are_made_each_on_the_one_before_is_explained() -> None:
    too_late = replace(ONE, name="late", outcome=Outcome.CONFLICT, made=None)

    chain = chain_between(FIRST, LAST, [TWO, too_late, ONE])

    assert chain.links == (ONE, TWO)
    assert (chain.lost, chain.false_conflicts, chain.unexplained) == ((), (), 0)


def test_write_that_was_acknowledged_twice_at_one_version_is_lost_once() -> None:
    overwritten = acknowledged("overwritten", FIRST)

    chain = chain_between(FIRST, LAST, [overwritten, ONE, TWO])

    assert chain.lost == (overwritten,)


def test_write_that_was_acknowledged_and_not_made_is_lost() -> None:
    invented = acknowledged("invented", LAST)

    chain = chain_between(FIRST, LAST, [ONE, TWO, invented])

    assert chain.lost == (invented,)


def test_write_that_is_shown_under_another_entity_tag_is_there_and_the_tag_is_unexplained() -> None:
    mistold = replace(TWO, made=replace(LAST, entity_tag='"3-other"'))

    chain = chain_between(FIRST, LAST, [ONE, mistold])

    assert chain.lost == ()
    assert chain.unexplained == 1


def test_write_that_was_made_with_another_name_is_lost() -> None:
    last = replace(LAST, name="something else")

    chain = chain_between(FIRST, last, [ONE, TWO])

    assert chain.lost == (TWO,)
    assert chain.unexplained == 1


def test_conflict_whose_write_was_made_all_the_same_is_false() -> None:
    refused = replace(TWO, outcome=Outcome.CONFLICT, made=None)

    chain = chain_between(FIRST, LAST, [ONE, refused])

    assert chain.false_conflicts == (refused,)
    assert chain.lost == ()


def test_write_of_unknown_outcome_explains_the_version_that_shows_it() -> None:
    unknown = replace(ONE, outcome=Outcome.UNKNOWN, made=None)
    not_made = replace(unknown, name="not made")

    chain = chain_between(FIRST, LAST, [not_made, unknown, TWO])

    assert chain.landed_unknown == (unknown,)
    assert (chain.lost, chain.unexplained) == ((), 0)


def test_versions_of_other_programs_are_unexplained_and_lose_nothing() -> None:
    theirs = State(3, '"3"', "Theirs")
    mine = acknowledged("mine", theirs)

    chain = chain_between(FIRST, made("theirs last", made("mine", theirs)), [ONE, mine])

    assert chain.links == (ONE, mine)
    assert (chain.lost, chain.unexplained) == ((), 2)


def test_version_that_was_left_out_is_unexplained() -> None:
    jump = replace(TWO, made=State(4, '"4-two"', "two"))

    chain = chain_between(FIRST, State(4, '"4-two"', "two"), [ONE, jump])

    assert chain.links == (ONE, jump)
    assert (chain.lost, chain.unexplained) == ((), 1)


def test_playlist_that_was_made_anew_has_lost_what_came_before() -> None:
    anew = State(1, '"1-b"', "Anew")

    chain = chain_between(FIRST, anew, [ONE])

    assert chain.lost == (ONE,)
    assert chain.unexplained == 1
