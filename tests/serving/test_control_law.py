"""The control law by numbers worked out by hand: of ten periods of 20 requests, 2 may be late."""

import itertools

import pytest

from keras_dynamicgate.serving.control_law import FALL, ControlLaw

TOP = 9
LATE, NEAR, QUICK = 1.5, 0.9, 0.5


class Day:
    """Feeds a law with 16 requests a second, so that each 20 of them make a period."""

    def __init__(self):
        self.now = 0.0
        self.law = ControlLaw(TOP + 1, self.now)

    def requests(self, *ratios, rate=16):
        """Let requests come, one after the other; give the rungs after each."""
        rungs = []
        for ratio in ratios:
            self.now += 1 / rate
            self.law.note(ratio, self.now, self.now)
            rungs.append(self.law.rung)
        return rungs

    def windows(self, count, ratio=QUICK, rate=16):
        """Let whole windows pass."""
        return self.requests(*[ratio] * (200 * count), rate=rate)[-1]

    def fall_to(self, rung):
        """Let requests be late until a rung is reached."""
        while self.law.rung > rung:
            self.requests(LATE)

    def climb(self):
        """Let a window pass and tell by how many rungs the budget rose."""
        before = self.law.rung
        return self.windows(1) - before


def test_it_begins_at_the_top_and_stays_there_while_requests_are_quick():
    day = Day()
    assert day.law.rung == TOP
    assert not day.law.settled
    assert day.windows(3) == TOP
    assert day.law.settled
    assert not day.law.out_of_reach


def test_third_late_request_of_two_hundred_makes_the_budget_fall():
    day = Day()
    assert day.requests(LATE, QUICK, LATE, QUICK, QUICK, LATE) == [TOP] * 5 + [TOP - FALL]


def test_two_late_requests_of_two_hundred_are_in_the_target():
    day = Day()
    assert set(day.requests(*([LATE] * 2 + [QUICK] * 198) * 3)) == {TOP}


def test_exactly_on_target_is_not_late():
    day = Day()
    assert day.windows(2, 1.0) == TOP


def test_late_requests_that_have_left_the_window_are_forgotten():
    day = Day()
    day.requests(LATE, LATE)
    day.requests(*[QUICK] * 199)
    assert day.requests(LATE, LATE) == [TOP] * 2
    assert day.requests(LATE) == [TOP - FALL]


def test_how_many_may_be_late_grows_with_the_requests_of_a_window():
    law = ControlLaw(TOP + 1, 0.0)
    times = (number / 100 for number in itertools.count(1))  # 1,000 requests in ten seconds

    def note(*ratios):
        for ratio in ratios:
            now = next(times)
            law.note(ratio, now, now)

    note(*[QUICK] * 1000)
    note(*[LATE] * 10)
    assert law.rung == TOP
    note(LATE)
    assert law.rung == TOP - FALL
    # So many are expected at the new budget, too, although few have come.
    note(*[LATE] * 10)
    assert law.rung == TOP - FALL
    note(LATE)
    assert law.rung == TOP - 2 * FALL


def test_requests_that_came_before_the_budget_moved_do_not_count():
    day = Day()
    day.fall_to(TOP - FALL)
    moved = day.now
    for _ in range(50):
        day.law.note(LATE, moved - 0.001, moved + 1.0)
    assert day.law.rung == TOP - FALL
    for _ in range(3):
        day.law.note(LATE, moved, moved + 1.0)
    assert day.law.rung == TOP - 2 * FALL


def test_budget_rises_by_a_rung_for_each_whole_window_well_below_the_target():
    day = Day()
    day.fall_to(1)
    assert day.requests(*[QUICK] * 199)[-1] == 1
    assert day.requests(QUICK) == [2]
    assert [day.climb() for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize(("near", "rises"), [(2, 1), (3, 0)])
def test_budget_rises_only_if_at_most_one_in_a_hundred_is_near_the_target(near, rises):
    day = Day()
    day.fall_to(1)
    assert day.requests(*[NEAR] * near, *[QUICK] * (200 - near))[-1] == 1 + rises


def test_few_requests_make_longer_windows():
    law = ControlLaw(TOP + 1, 0.0)
    for _ in range(3):
        law.note(LATE, 1.0, 1.0)
    assert law.rung == TOP - FALL
    for now in range(2, 201):  # one a second
        law.note(QUICK, now, now)
        assert law.rung == TOP - FALL
    law.note(QUICK, 201, 201)
    assert law.rung == TOP - FALL + 1


def test_failed_trial_goes_back_one_rung_and_the_next_waits_twice_as_long():
    day = Day()
    day.fall_to(1)
    day.windows(2)
    assert day.law.rung == 3
    waits = []
    for _ in range(6):
        assert day.requests(LATE, LATE, LATE)[-1] == 2
        waits.append(1)
        while day.windows(1) == 2:
            waits[-1] += 1
        assert day.law.rung == 3
    assert waits == [2, 4, 8, 16, 16, 16]


def test_what_has_held_as_long_as_was_waited_is_forgotten_as_a_failure():
    day = Day()
    day.fall_to(1)
    day.windows(1)
    assert day.requests(*[LATE] * 3)[-1] == 1
    assert [day.climb() for _ in range(3)] == [0, 1, 0]  # the failed rung, after two windows
    assert [day.climb() for _ in range(2)] == [1, 1]  # it has held for two


@pytest.mark.parametrize(("rate", "rung"), [(14, 2), (12, 3)])
def test_failure_is_forgotten_when_the_load_is_a_fifth_less(rate, rung):
    day = Day()
    day.fall_to(1)
    day.windows(2)
    assert day.requests(*[LATE] * 3)[-1] == 2
    assert day.windows(1, rate=rate) == rung


def test_rungs_below_the_one_that_failed_are_tried_at_once():
    day = Day()
    day.fall_to(1)
    day.windows(4)
    assert day.requests(*[LATE] * 3)[-1] == 4
    assert day.requests(*[LATE] * 3)[-1] == 0  # no trial any more: the load has risen
    assert [day.climb() for _ in range(4)] == [1, 1, 1, 1]
    assert [day.climb() for _ in range(2)] == [0, 1]


def test_rung_that_has_held_is_no_trial_when_the_load_rises_later():
    day = Day()
    day.fall_to(1)
    day.windows(4)
    assert day.windows(1, NEAR) == 5
    assert day.requests(*[LATE] * 3)[-1] == 5 - FALL


def test_target_out_of_reach_is_known_after_a_whole_window_at_the_smallest_and_nothing_moves():
    day = Day()
    day.fall_to(0)
    day.requests(*[LATE] * 199)
    assert not day.law.out_of_reach
    day.requests(LATE)
    assert day.law.out_of_reach
    assert set(day.requests(*[LATE] * 2000)) == {0}
    day.windows(1)
    assert not day.law.out_of_reach


def test_one_rung_that_holds_nothing_below_is_at_once_the_smallest():
    law = ControlLaw(2, 0.0)
    for now in (1.0, 2.0, 3.0):
        law.note(LATE, now, now)
    assert law.rung == 0
