"""One file that carries a model: written from runs, read without running anything in it."""

from delineate.package.card import Statement
from delineate.package.networks import refuse_untrusted
from delineate.package.preprocessing import describe_preprocessing
from delineate.package.read import read_card, read_package
from delineate.package.refusals import (
    NewerFormat,
    NotAPackage,
    PackageRefused,
    PickleInside,
    PrivateText,
    TruncatedPackage,
    UnknownMember,
    UnsafePath,
    UntrustedNetwork,
    WrongChecksum,
    WrongSize,
)
from delineate.package.runs import (
    find_runs,
    is_there,
    list_cases,
    mirrored_axes,
    model_of,
    open_model,
)
from delineate.package.ship import package_runs
from delineate.package.write import write_package

__all__ = [
    "NewerFormat",
    "NotAPackage",
    "PackageRefused",
    "PickleInside",
    "PrivateText",
    "Statement",
    "TruncatedPackage",
    "UnknownMember",
    "UnsafePath",
    "UntrustedNetwork",
    "WrongChecksum",
    "WrongSize",
    "describe_preprocessing",
    "find_runs",
    "is_there",
    "list_cases",
    "mirrored_axes",
    "model_of",
    "open_model",
    "package_runs",
    "read_card",
    "read_package",
    "refuse_untrusted",
    "write_package",
]
