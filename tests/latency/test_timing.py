from keras_dynamicgate.latency.timing import measure


def test_runs_are_interleaved_and_their_first_call_is_not_timed(monkeypatch):
    for phase in ("WARM_UP", "TIMED"):
        monkeypatch.setattr(f"keras_dynamicgate.latency.timing.{phase}", 0.0)
    calls = []
    run = {name: lambda batch, name=name: calls.append(name) for name in "ab"}
    times = measure(run, [None], seconds=0.0)
    assert calls == ["a", "b"] + 3 * (5 * ["a"] + 5 * ["b"])
    assert len(times["a"]) == len(times["b"]) == 12
