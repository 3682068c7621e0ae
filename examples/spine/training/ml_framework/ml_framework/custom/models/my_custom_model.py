"""A network of one's own: `name: MyCustomModel` with its arguments beside it."""

from torch import Tensor, nn

from ml_framework.base.model import BaseModel


class MyCustomModel(BaseModel):
    """Dilated convolutions at full resolution."""

    def __init__(self, in_channels: int = 1, custom_param: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = in_channels
        for dilation in (1, 2, 4, 8, 1):
            layers += [
                nn.Conv2d(width, custom_param, 3, padding=dilation, dilation=dilation, bias=False),
                nn.BatchNorm2d(custom_param),
                nn.ReLU(),
            ]
            width = custom_param
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Images (b, c, h, w) to what is before the sigmoid, (b, 1, h, w)."""
        return self.layers(x)
