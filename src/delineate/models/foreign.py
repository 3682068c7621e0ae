"""What a network from elsewhere returns, as an Output.

Known forms, beside Output itself:

    Tensor (b, k, *s)           logits
    Tensor (b, k)               image-level logits, as timm's classifiers return
    Tensor (b, n, k, *s)        n logits, the first one the finest: MONAI's DynUNet while training
    sequence of logits          finest first: deep supervision
    mapping                     by Output's names, or torchvision's "out" and "aux"
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from delineate.contracts import Output

__all__ = ["as_output"]

NAMES = {"logits": "logits", "out": "logits", "aux": "deep", "presence": "presence"}
"""What a mapping may hold, and which part of an Output it is."""


def as_output(result: object, image: Tensor | None = None) -> Output:
    """An Output from what a network returned; what cannot be one is a ValueError.

    Args:
        image: what the network was given; None leaves the sizes unchecked, and then a tensor with
            all the logits of deep supervision cannot be told from one of more dimensions.
    """
    if isinstance(result, Output):
        return result
    output = _read(result, None if image is None else image.dim())
    if image is not None:
        _check_size(output, image)
    return output


def _read(result: object, axes: int | None) -> Output:
    if isinstance(result, Tensor):
        return _read_tensor(result, axes)
    if isinstance(result, Mapping):
        return _read_mapping(result)
    if isinstance(result, Sequence) and result and all(isinstance(r, Tensor) for r in result):
        return Output(logits=result[0], deep=tuple(result[1:]))
    raise ValueError(_say(_describe(result)))


def _read_tensor(result: Tensor, axes: int | None) -> Output:
    if result.dim() == 2:
        return Output(logits=None, presence=result)
    if axes is not None and result.dim() == axes + 1:
        finest, *coarser = result.unbind(1)
        return Output(logits=finest, deep=tuple(coarser))
    return Output(logits=result)


def _read_mapping(result: Mapping[object, object]) -> Output:
    tensors = {str(name): value for name, value in result.items() if isinstance(value, Tensor)}
    parts = {NAMES[name]: value for name, value in tensors.items() if name in NAMES}
    if not parts.keys() & {"logits", "presence"}:
        found = ", ".join(map(str, result)) or "nothing"
        raise ValueError(_say(f"a {type(result).__name__} of {found}"))
    return Output(
        logits=parts.get("logits"),
        deep=(parts["deep"],) if "deep" in parts else (),
        presence=parts.get("presence"),
        extra={name: value for name, value in tensors.items() if name not in NAMES},
    )


def _check_size(output: Output, image: Tensor) -> None:
    """The finest logits stand at the image's resolution, the others have their classes."""
    if output.logits is None:
        return
    size, got = tuple(image.shape[2:]), tuple(output.logits.shape[2:])
    if got != size:
        raise ValueError(
            f"the network returned logits of {got} voxels for an image of {size}. Fix: a network "
            "or an argument of it that keeps the resolution; of several logits, the finest first."
        )
    classes = output.logits.shape[1]
    for logits in output.deep:
        if logits.dim() != image.dim() or logits.shape[1] != classes:
            raise ValueError(
                f"the network returned coarser logits of the shape {tuple(logits.shape)} beside "
                f"logits of {tuple(output.logits.shape)}. Fix: as many classes at every "
                "resolution; features are not logits."
            )


def _say(what: str) -> str:
    return (
        f"the network returned {what}. Fix: return the logits (b, k, *s), a list of logits with "
        "the full resolution first, a dict with 'out' or 'presence', or a "
        "delineate.contracts.Output."
    )


def _describe(result: object) -> str:
    if isinstance(result, Sequence) and not isinstance(result, str):
        kinds = ", ".join(sorted({type(r).__name__ for r in result})) or "nothing"
        return f"a {type(result).__name__} of {kinds}"
    return f"a {type(result).__name__}"
