import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from delineate.engine.adaptation import Ends, Place, Role, Unfit, fit

GENERATOR = torch.Generator().manual_seed(0)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR)


def adapt(
    own: Tensor,
    source: Tensor,
    place: Place = "inner",
    *,
    ours: Ends | None = None,
    theirs: Ends | None = None,
    transposed: bool = False,
) -> tuple[Tensor, str]:
    role = Role(place=place, transposed=transposed)
    return fit(own, source, role, ours=ours or Ends(), theirs=theirs or Ends())


def test_the_same_shape_is_taken_as_it_is_in_our_precision():
    source = draw(4, 2, 3, 3).half()
    weight, how = adapt(torch.zeros(4, 2, 3, 3), source)
    assert how == ""
    assert weight.dtype == torch.float32
    assert torch.equal(weight, source.float())


def test_another_width_does_not_fit():
    with pytest.raises(Unfit, match="8x2x3x3 there, 4x2x3x3 here"):
        adapt(torch.zeros(4, 2, 3, 3), draw(8, 2, 3, 3))
    with pytest.raises(Unfit, match="8 there, 4 here"):
        adapt(torch.zeros(4), draw(8))


def test_complex_numbers_do_not_fit():
    with pytest.raises(Unfit, match="complex numbers there"):
        adapt(torch.zeros(2), torch.zeros(2, dtype=torch.complex64))


def test_a_grey_picture_is_seen_as_it_was_in_every_colour():
    source, grey = draw(4, 3, 3, 3), draw(1, 1, 8, 8)
    weight, how = adapt(torch.zeros(4, 1, 3, 3), source, "first")
    assert how == "sum of 3 channels"
    torch.testing.assert_close(
        F.conv2d(grey, weight), F.conv2d(grey.expand(1, 3, 8, 8), source), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_same_picture_in_more_channels_gives_the_same_response(count: int):
    source, grey = draw(4, 1, 3, 3), draw(1, 1, 8, 8)
    weight, how = adapt(torch.zeros(4, count, 3, 3), source, "first")
    assert how.startswith(
        f"channels 1 to {count} by position, {count - 1} new from the mean, all x"
    )
    many = F.conv2d(grey.expand(1, count, 8, 8), weight)
    torch.testing.assert_close(many, F.conv2d(grey, source), rtol=1e-4, atol=1e-5)


def test_channels_of_the_same_name_keep_their_kernels_in_any_order():
    source = draw(4, 3, 3, 3)
    theirs = Ends(channels=("T1", "t2", "FLAIR"))
    same = Ends(channels=("flair", "T1", "T2"))
    weight, how = adapt(torch.zeros(4, 3, 3, 3), source, "first", ours=same, theirs=theirs)
    assert torch.equal(weight, source[:, [2, 0, 1]])
    assert how == "channels 3 to 3 by name"
    one = Ends(channels=("T2",))
    weight, _ = adapt(torch.zeros(4, 1, 3, 3), source, "first", ours=one, theirs=theirs)
    assert torch.equal(weight, source[:, [1]])


def test_a_channel_of_a_new_name_gets_the_mean_of_all():
    source = draw(4, 2, 3, 3)
    ours, theirs = Ends(channels=("T2", "CT")), Ends(channels=("T1", "T2"))
    weight, how = adapt(torch.zeros(4, 2, 3, 3), source, "first", ours=ours, theirs=theirs)
    assert torch.equal(weight, torch.stack((source[:, 1], source.mean(1)), 1))
    assert how == "channels 2 to 2 by name, 1 new from the mean"


def test_names_without_anything_in_common_leave_the_order():
    source = draw(4, 2, 3, 3)
    ours, theirs = Ends(channels=("a", "b")), Ends(channels=("c", "d"))
    weight, how = adapt(torch.zeros(4, 2, 3, 3), source, "first", ours=ours, theirs=theirs)
    assert torch.equal(weight, source)
    assert how == ""


def test_classes_go_by_name_and_new_ones_keep_their_start():
    own, source = draw(3, 4, 1, 1), draw(4, 4, 1, 1)
    ours = Ends(classes=("background", "tumour", "cyst"))
    theirs = Ends(classes=("background", "liver", "Tumour", "vessel"))
    weight, how = adapt(own, source, "head", ours=ours, theirs=theirs)
    assert torch.equal(weight, torch.stack((source[0], source[2], own[2])))
    assert how == "classes by name, fresh: cyst"
    bias, _ = adapt(own[:, 0, 0, 0], source[:, 0, 0, 0], "head", ours=ours, theirs=theirs)
    assert torch.equal(bias, weight[:, 0, 0, 0])


def test_classes_in_the_same_order_are_no_adaptation():
    names = Ends(classes=("background", "liver"))
    source = draw(2, 4, 1, 1)
    weight, how = adapt(torch.zeros(2, 4, 1, 1), source, "head", ours=names, theirs=names)
    assert torch.equal(weight, source)
    assert how == ""


def test_classes_that_cannot_be_told_apart_are_not_loaded():
    with pytest.raises(Unfit, match="165 classes there, 3 here, not both with names"):
        adapt(torch.zeros(3, 4), draw(165, 4), "head")
    ours, theirs = Ends(classes=("a", "b")), Ends(classes=("c", "d"))
    with pytest.raises(Unfit, match="no class has the same name on both sides"):
        adapt(torch.zeros(2, 4), draw(2, 4), "head", ours=ours, theirs=theirs)


def test_a_larger_kernel_computes_the_same():
    source, image = draw(4, 2, 3, 1), draw(1, 2, 8, 8)
    weight, how = adapt(torch.zeros(4, 2, 5, 3), source)
    assert how == "kernel 3x1 to 5x3"
    torch.testing.assert_close(
        F.conv2d(image, weight, padding=(2, 1)), F.conv2d(image, source, padding=(1, 0))
    )


def test_a_larger_transposed_kernel_computes_the_same():
    source, image = draw(2, 4, 3, 3), draw(1, 2, 8, 8)
    weight, _ = adapt(torch.zeros(2, 4, 5, 5), source, transposed=True)
    torch.testing.assert_close(
        F.conv_transpose2d(image, weight, stride=2, padding=2),
        F.conv_transpose2d(image, source, stride=2, padding=1),
    )


def test_a_smaller_kernel_answers_what_is_constant_as_before():
    source = draw(4, 2, 7, 3)
    weight, how = adapt(torch.zeros(4, 2, 3, 1), source)
    assert how == "kernel 7x3 to 3x1"
    torch.testing.assert_close(weight.sum((2, 3)), source.sum((2, 3)))
    # The middle tap keeps what it had, summed over the axis that is gone.
    torch.testing.assert_close(weight[:, :, 1, 0], source[:, :, 3].sum(-1))


def test_depthwise_kernels_grow_by_interpolation():
    source = draw(4, 1, 3, 3, 3)
    weight, how = adapt(torch.zeros(4, 1, 5, 5, 5), source)
    assert how == "kernel 3x3x3 to 5x5x5"
    assert torch.equal(weight, F.interpolate(source, size=(5, 5, 5), mode="trilinear"))


def test_kernels_of_even_sizes_belong_to_their_strides():
    with pytest.raises(Unfit, match="kernel 2x2x2 there, 2x2x1 here"):
        adapt(torch.zeros(4, 2, 2, 2, 1), draw(4, 2, 2, 2, 2), transposed=True)


def test_slices_that_are_all_the_same_are_seen_as_the_one_picture_was():
    source, picture = draw(4, 2, 3, 3), draw(1, 2, 8, 8)
    weight, how = adapt(torch.zeros(4, 2, 3, 3, 3), source)
    assert how == "2-D to 3-D, depth 3"
    volume = picture[..., None].expand(1, 2, 8, 8, 5)
    response = F.conv3d(volume, weight)
    expected = F.conv2d(picture, source)[..., None].expand_as(response)
    torch.testing.assert_close(response, expected, rtol=1e-4, atol=1e-5)


def test_a_transposed_kernel_gives_every_slice_the_picture():
    source, picture = draw(2, 4, 2, 2), draw(1, 2, 4, 4)
    weight, _ = adapt(torch.zeros(2, 4, 2, 2, 2), source, transposed=True)
    response = F.conv_transpose3d(picture[..., None].expand(1, 2, 4, 4, 3), weight, stride=2)
    expected = F.conv_transpose2d(picture, source, stride=2)[..., None].expand_as(response)
    torch.testing.assert_close(response, expected)
    with pytest.raises(Unfit, match="whose taps would overlap in 3-D"):
        adapt(torch.zeros(2, 4, 3, 3, 3), draw(2, 4, 3, 3), transposed=True)
