import pytest

from keras_dynamicgate.utils import checks


@pytest.mark.parametrize("value", [0.25, 0, 1])
def test_a_number_in_range_passes(value):
    checks.number("share", value, "from 0 to 1", lambda share: 0 <= share <= 1)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.5, "1.5"), (float("nan"), "nan"), ("0.5", "'0.5'"), (True, "True"), (10**400, "inf")],
    ids=["too large", "not a number", "text", "boolean", "larger than any float"],
)
def test_what_is_no_number_in_range_is_refused_and_shown(value, shown):
    message = f"`share` must be a number from 0 to 1. Received: share={shown}$"
    with pytest.raises(ValueError, match=message):
        checks.number("share", value, "from 0 to 1", lambda share: 0 <= share <= 1)
