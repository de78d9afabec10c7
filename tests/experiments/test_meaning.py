from keras_dynamicgate.experiments.meaning import accuracy_sentence, time_sentence
from keras_dynamicgate.experiments.tables import summarise


def runs(**accuracies):
    """Make a run for each accuracy of a family, one a seed."""
    measured = dict.fromkeys(
        ("macro_f1", "open_ratio", "relative_macs", "relative_without_gates", "seconds"), 0.1
    )
    return [
        {
            **measured,
            "model": family,
            "target": 0.1,
            "seed": seed,
            "accuracy": accuracy,
            "theoretical": False,
            "settings": {},
        }
        for family, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


def test_sentence_gives_accuracies_and_what_gates_gain():
    made = runs(narrow=[0.9], static=[0.925], dynamic=[0.89])
    assert accuracy_sentence(summarise(made), made) == (
        "At 0.1 of the multiply-accumulates the gated networks get 92.5 % (static) and 89.0 % "
        "(dynamic) of the test samples right and the narrow one 90.0 %: +2.5 and -1.0 points at "
        "equal cost."
    )


def test_sentence_counts_the_seeds_in_which_the_gain_exceeds_both_deviations():
    # Deviations: narrow 0.01, static 0.01, dynamic 0.
    made = runs(narrow=[0.90, 0.91, 0.92], static=[0.93, 0.94, 0.92], dynamic=[0.915] * 3)
    assert accuracy_sentence(summarise(made), made).endswith(
        "above narrow by more than both deviations: static in 2 of 3 seeds, "
        "dynamic in 1 of 3 seeds."
    )


def test_sentence_gives_milliseconds_and_how_many_times_as_fast():
    times = {"dropout": 0.2, "narrow": 0.1, "static": 0.08, "dynamic": 0.02}
    assert time_sentence(times) == (
        "One sample takes 0.200 ms on the full network, 0.100 ms on the narrow one, 0.080 ms "
        "compacted (static) and 0.020 ms on the engine (dynamic): 2.5 and 10.0 times as fast as "
        "the full network."
    )
