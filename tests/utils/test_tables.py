import pytest

from keras_dynamicgate.utils.tables import as_text, make_table

HEADS = ("layer", "MACs")


def lines(*tables, notes=()):
    return [line.rstrip() for line in as_text(tables, notes).split("\n")]


def test_text_stands_on_the_left_and_numbers_stand_on_the_right():
    table = make_table("Cost", HEADS, [("one", "5"), ("another", "1,000")])
    title, _, heads, _, one, another, _ = lines(table)
    assert title == "Cost"
    assert [cell.strip("│┃") for cell in (heads, one, another)] == [
        " layer   ┃  MACs ",
        " one     │     5 ",
        " another │ 1,000 ",
    ]


def test_columns_of_text_are_those_that_are_named():
    table = make_table("", ("layer", "why"), [("one", "a"), ("two", "abcde")], texts=("why",))
    assert "│   one │ a     │" in lines(table)


def test_totals_stand_under_a_line_at_the_end():
    rows = lines(make_table("Cost", HEADS, [("one", "5")], totals=("total", "7")))
    assert rows[-2] == "│ total │    7 │"
    assert rows[-3].startswith("├")


def test_none_among_the_rows_draws_a_line():
    rows = lines(make_table("Cost", HEADS, [("one", "5"), None, ("two", "6")]))
    assert [row[0] for row in rows[4:7]] == ["│", "├", "│"]


def test_row_of_another_length_than_the_totals_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        make_table("Cost", HEADS, [], totals=("total",))


def test_notes_follow_the_tables_in_at_most_100_columns():
    text = lines(make_table("Cost", HEADS, [("one", "5")]), notes=["word " * 30, "The end."])
    assert text[-3] == " ".join(["word"] * 20)
    assert text[-2] == " ".join(["word"] * 10)
    assert text[-1] == "The end."


def test_long_names_fold_and_are_not_cut():
    name = "block/" * 30
    cells = [row.split("│")[1].strip() for row in lines(make_table("", HEADS, [(name, "5")]))[3:-1]]
    assert "".join(cells) == name


def test_square_brackets_and_numbers_are_printed_as_they_are():
    text = as_text([make_table("[bold]Cost[/bold]", HEADS, [("[red]one", "5")])], ["a [b] 1.5"])
    assert "[red]one" in text
    assert text.endswith("a [b] 1.5")
    assert "\x1b" not in text
