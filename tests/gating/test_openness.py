import pytest

from keras_dynamicgate.gating.openness import (
    BothOpen,
    EitherOpen,
    GateOpen,
    JoinedOpen,
    KeptOpen,
    PooledOpen,
    ReshapedOpen,
    ShareOpen,
    gates_in,
)

ONE, OTHER = GateOpen("one", 1), GateOpen("other", 4)


@pytest.mark.parametrize(
    ("part", "gates"),
    [
        (None, set()),
        (ONE, {"one"}),
        (KeptOpen((True, False)), set()),
        (ShareOpen(0.25), set()),
        (BothOpen(ONE, KeptOpen((True,))), {"one"}),
        (EitherOpen(ONE, OTHER), {"one", "other"}),
        (JoinedOpen(((ONE, 8), (None, 8), (BothOpen(ONE, OTHER), 8))), {"one", "other"}),
        (ReshapedOpen(PooledOpen(OTHER), (4, 8), (32,)), {"other"}),
    ],
)
def test_description_knows_the_gates_that_it_names(part, gates):
    assert gates_in(part) == gates
