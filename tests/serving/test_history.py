from keras_dynamicgate.serving.history import History, Moment


def test_a_moment_is_a_second_with_the_p99_and_the_requests_in_it():
    history = History(10.0)
    for number in range(1, 101):
        history.add(number, 0.5, 10.0 + number / 64)
    # The 64th request closes the first second; 1 of 64 is more than 1 %, so the largest counts.
    assert list(history.moments) == [Moment(11.0, 64.0, 64.0, 0.5)]


def test_p99_leaves_one_in_a_hundred_out():
    history = History(0.0)
    for number in range(200):
        history.add(9.0 if number in (3, 7) else 1.0, 0.2, number / 199)
    assert list(history.moments) == [Moment(1.0, 1.0, 200.0, 0.2)]


def test_a_moment_with_few_requests_is_longer():
    history = History(0.0)
    for number in range(1, 41):
        history.add(1.0, 0.2, 2.0 * number)
    assert [(moment.time, moment.load) for moment in history.moments] == [(40.0, 0.5), (80.0, 0.5)]


def test_the_latest_moments_are_kept(monkeypatch):
    monkeypatch.setattr("keras_dynamicgate.serving.history.MOST_KEPT", 3)
    history = History(0.0)
    for second in range(1, 6):
        for _ in range(20):
            history.add(1.0, 0.2, float(second))
    assert [moment.time for moment in history.moments] == [3.0, 4.0, 5.0]
