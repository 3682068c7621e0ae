import pytest

from delineate.engine.prefixes import check_prefixes, longest_prefix
from delineate.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("encoder.1.weight", "encoder.1"),
        ("encoder.10.weight", "encoder"),
        ("encoder", "encoder"),
        ("encoder2.weight", None),
    ],
)
def test_the_longest_beginning_in_whole_steps_counts(name, found):
    assert longest_prefix(name, ["encoder", "encoder.1", "heads"]) == found


def test_a_beginning_that_fits_nothing_shows_the_nearest_and_all_tops():
    with pytest.raises(ConfigError) as error:
        check_prefixes("freeze", ["up.0", "decodr.0"], ["up.0.weight", "decoder.0.weight"])
    assert str(error.value) == (
        "freeze: no weight's name begins with 'decodr.0'. Did you mean 'decoder.0'? "
        "The network has: up, decoder."
    )
