import torch

from delineate.inference.crops import Crops

CPU = torch.device("cpu")


def test_windows_are_cut_out_and_padded_with_zeros_beyond_the_border():
    image = torch.randn(2, 6, 5)
    crops = Crops(image, (4, 7), batch=3, device=CPU)
    found = crops.stack([(0, -1), (2, -1)])
    assert found.shape == (2, 2, 4, 7)
    assert torch.equal(found[0, :, :, 1:6], image[:, :4])
    assert torch.equal(found[1, :, :, 1:6], image[:, 2:])
    assert not found[..., 0].any()
    assert not found[..., 6].any()


def test_zeros_stay_zeros_when_a_network_writes_into_its_window():
    crops = Crops(torch.ones(1, 3), (5,), batch=1, device=CPU)
    crops.stack([(-1,)]).fill_(7)
    assert torch.equal(crops.stack([(-1,)])[0, 0], torch.tensor([0.0, 1, 1, 1, 0]))
