import pytest

from delineate.report.metric_names import figure_text, is_share, title


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        ("dice", "Dice"),
        ("iou", "IoU"),
        ("hd95_mm", "HD95 (mm)"),
        ("true_volume_ml", "True volume (ml)"),
        ("surface_dice_1mm", "Surface Dice 1 mm"),
        ("lesion_f1", "Lesion F1"),
        ("my_own", "My own"),
    ],
)
def test_metrics_are_called_what_the_field_calls_them(metric, shown):
    assert title(metric) == shown


def test_only_shares_have_an_axis_that_ends_at_one():
    assert is_share("dice")
    assert not is_share("hd95_mm")
    assert not is_share("volume_ml")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.91234, "0.9123"), (-0.5, "-0.5000"), (12.3456, "12.35"), (123.0, "123"), (9876.4, "9876")],
)
def test_figures_have_four_decimals_or_four_digits(value, text):
    assert figure_text(value) == text
