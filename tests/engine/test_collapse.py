import logging

import pytest

from delineate.engine.collapse import CollapseWarning
from delineate.engine.schedules import Watcher


@pytest.fixture
def said(caplog):
    with caplog.at_level(logging.WARNING, logger="delineate"):
        yield caplog


def scores(**dice):
    named = {f"val_dice/{name}": score for name, score in dice.items()}
    return named | {"val_dice": sum(dice.values()) / len(dice)}


def test_background_only_is_warned_of_once_with_advice(said):
    watcher = CollapseWarning(patience=3)
    for _ in range(10):
        watcher.observe(scores(a=0.0, b=0.0005))
    (message,) = said.messages
    assert message.startswith(
        "nothing was found in 3 validations in a row: the network predicts background only. Fix:"
    )
    for advice in ("train.foreground", "optimizer.lr", "region term"):
        assert advice in message


def test_classes_that_are_never_found_are_named_once(said):
    watcher = CollapseWarning(patience=2)
    for _ in range(4):
        watcher.observe(scores(a=0.5, b=0.0, c=0.0))
    (message,) = said.messages
    assert message.startswith("never found in 2 validations in a row: b, c. Fix:")


def test_finding_something_in_between_is_no_collapse(said):
    watcher = CollapseWarning(patience=2)
    for dice in (0.0, 0.1, 0.0, 0.1, 0.0):
        watcher.observe(scores(a=dice))
    assert said.messages == []


def test_a_class_without_a_figure_is_not_warned_of(said):
    watcher = CollapseWarning(patience=1)
    watcher.observe(scores(a=0.5, b=float("nan")))
    assert said.messages == []


def test_it_goes_on_from_its_state(said):
    first, second = CollapseWarning(patience=2), CollapseWarning(patience=2)
    first.observe(scores(a=0.0))
    second.load_state_dict(first.state_dict())
    second.observe(scores(a=0.0))
    assert len(said.messages) == 1
    third = CollapseWarning(patience=2)
    third.load_state_dict(second.state_dict())
    third.observe(scores(a=0.0))
    assert len(said.messages) == 1


def test_it_watches_the_validation():
    assert isinstance(CollapseWarning(), Watcher)
