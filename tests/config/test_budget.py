import pytest

from delineate.config import Budget


@pytest.mark.parametrize(
    ("text", "seconds", "steps", "epochs"),
    [
        ("90s", 90, None, None),
        ("10min", 600, None, None),
        ("1.5h", 5400, None, None),
        ("500 steps", None, 500, None),
        ("100 epochs", None, None, 100),
    ],
)
def test_a_budget_is_time_or_steps_or_epochs(text, seconds, steps, epochs):
    budget = Budget.parse(text)
    assert (budget.seconds, budget.steps, budget.epochs) == (seconds, steps, epochs)


@pytest.mark.parametrize("text", ["90s", "10min", "0.5h", "1234567 steps", "100 epochs"])
def test_a_budget_reads_back_what_it_writes(text):
    assert str(Budget.parse(text)) == text
    assert Budget.parse(str(Budget.parse(text))) == Budget.parse(text)


@pytest.mark.parametrize("text", ["10", "10 m", "ten min", "-3h", "0s", "1h30min", "", "2 days"])
def test_anything_else_says_what_a_budget_looks_like(text):
    with pytest.raises(ValueError, match=r"wants a budget such as 90s, 10min, 2h, 500 steps or"):
        Budget.parse(text)


def test_half_a_step_is_refused():
    with pytest.raises(ValueError, match=r"^wants a whole number of steps, got 0.5\.$"):
        Budget.parse("0.5 steps")
