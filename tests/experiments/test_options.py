import pytest

from keras_dynamicgate.experiments.options import parse


@pytest.fixture
def options(monkeypatch):
    """A function that parses the options of a script."""

    def parse_options(*arguments):
        monkeypatch.setattr("sys.argv", ["script.py", *arguments])
        return parse("A script.")

    return parse_options


def test_quick_run_of_a_script_has_one_budget_and_one_seed(options):
    quick = options("--quick")
    assert (quick["targets"], quick["seeds"], quick["quick"]) == ((0.3,), 1, True)
    full = options("--targets", "0.5,0.1", "--models", "dense")
    assert (full["targets"], full["models"]) == ((0.5, 0.1), ("dense",))
    assert (full["seeds"], full["quick"]) == (3, False)


@pytest.mark.parametrize(
    ("text", "seeds"), [("2", 2), ("1,2", (1, 2)), ("1,", (1,)), ("0,", (0,)), ("5, 0", (5, 0))]
)
def test_seeds_are_a_number_or_with_a_comma_the_seeds_themselves(text, seeds, options):
    assert options("--seeds", text)["seeds"] == seeds
    assert options("--seeds", text, "--quick")["seeds"] == seeds


@pytest.mark.parametrize("text", ["0", "00", "-1", "1.5", "two", "", ",", "1,,2", "1,-2"])
def test_seeds_that_are_none_end_with_the_usage(text, options, capsys):
    with pytest.raises(SystemExit, match="2"):
        options("--seeds", text)
    message = "must be a positive integer, or integers of at least 0 with commas, not"
    assert f"argument --seeds: {message} {text!r}" in capsys.readouterr().err
