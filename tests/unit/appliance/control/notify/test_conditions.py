"""What a rule remembers, for any sequence of what it sees."""

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.control.notify import conditions
from appliance.control.notify.conditions import GATHER, Known, Memory, Observation, Tempo
from appliance.control.notify.tally import OTHERS, Hour, add, from_json, shares, to_json

TEMPO = Tempo(60.0, 300.0, over=True)
KEYS = st.frozensets(st.sampled_from("abcd"))
# What is so, whether something may be told now, how far the clock moves, and whether the process starts anew.
LOOKS = st.lists(
    st.tuples(KEYS, st.booleans(), st.sampled_from([0.0, 15.0, 15.0, 15.0, 60.0, 7200.0, -7200.0]), st.booleans()),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(KEYS, LOOKS)
def test_nothing_is_told_twice_and_nothing_is_forgotten(
    start: frozenset[str], looks: list[tuple[frozenset[str], bool, float, bool]]
) -> None:
    now = 1e9
    memory = conditions.observe(None, [Observation(key, key) for key in start], now, TEMPO)
    told: set[str] = set()
    gone: dict[str, float] = {}
    seen = dict.fromkeys(start, 0.0)
    ever_gone: set[str] = set()
    for present, may_tell, step, restart in looks:
        counted = min(max(step, 0.0), conditions.LONGEST_STEP)
        now += step
        for key in "abcd":
            if key in present:
                seen[key] = seen[key] + counted if key in seen else 0.0
                gone.pop(key, None)
            else:
                seen.pop(key, None)
                gone[key] = gone.get(key, 0.0) + counted
                if gone[key] >= TEMPO.forget:
                    told.discard(key)
                    ever_gone.add(key)
        if restart:
            memory = conditions.from_json(conditions.to_json(memory))
        found = [Observation(key, key) for key in sorted(present)]
        memory = conditions.observe(memory, found, now, TEMPO)
        if may_tell and (new := conditions.ripe(memory, found, TEMPO)):
            for each in new:
                assert each.key not in told, "told twice"
                assert each.key not in start or each.key in ever_gone, "told what was so at the start"
                assert seen[each.key] >= TEMPO.settle, "told too soon"
                told.add(each.key)
            memory = conditions.tell(memory, new, now)
            assert conditions.ripe(memory, found, TEMPO) == []
        if may_tell:
            waited = [k for k in present if memory.tracked[k].known is Known.NEW and seen[k] >= TEMPO.settle + GATHER]
            assert waited == [], "not told in time"
        if conditions.is_over(memory):
            assert not told & present, "said to be over, but it is not"
            memory = conditions.tell_over(memory, now)
            assert not conditions.is_over(memory)


def test_what_is_remembered_does_not_grow_without_end() -> None:
    memory = Memory(0.0)
    for now in range(3):
        found = [Observation(f"{now} {number}", "x") for number in range(conditions.MOST_TRACKED + 5)]
        memory = conditions.observe(memory, found, float(now), TEMPO)
    assert len(memory.tracked) == conditions.MOST_TRACKED


PROJECT = "https://boinc.example.org/"


def test_tasks_are_counted_by_hour_and_forgotten_after_a_day() -> None:
    counts = {("a", PROJECT): (10, 1), ("b", PROJECT): (5, 0)}
    tally = add({}, {}, counts, 0.0)
    assert tally == {}
    tally = add(tally, counts, counts | {("a", PROJECT): (12, 4)}, 100.0)
    assert tally == {(PROJECT, 0): Hour(2, {"a": 3})}
    tally = add(tally, {("a", PROJECT): (12, 4)}, {("a", PROJECT): (13, 5)}, 4000.0)
    (share,) = shares(tally)
    assert (share.ended, share.failed, share.pcs) == (7, 4, (("a", 4),))
    assert from_json(to_json(tally)) == tally
    assert add(tally, {}, {}, 90_000.0) == {}


def test_a_pc_that_is_attached_anew_counts_from_there() -> None:
    tally = add({}, {("a", PROJECT): (500, 20)}, {("a", PROJECT): (0, 0)}, 0.0)
    tally = add(tally, {("a", PROJECT): (0, 0)}, {("a", PROJECT): (1, 0)}, 60.0)
    assert shares(tally)[0].ended == 1


def test_a_tally_of_five_thousand_pcs_stays_small() -> None:
    before = {(str(n), PROJECT): (0, 0) for n in range(5000)}
    tally = add({}, before, dict.fromkeys(before, (1, 1)), 0.0)
    assert shares(tally)[0].failed == 5000
    assert len(tally[PROJECT, 0].failed) == 51
    assert tally[PROJECT, 0].failed[OTHERS] == 4950
