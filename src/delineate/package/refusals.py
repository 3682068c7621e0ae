"""Why a package is refused: one name for each reason, all of them a DataError."""

from delineate.errors import DataError

__all__ = [
    "NewerFormat",
    "NotAPackage",
    "PackageRefused",
    "PickleInside",
    "PrivateText",
    "TruncatedPackage",
    "UnknownMember",
    "UnsafePath",
    "UntrustedNetwork",
    "WrongChecksum",
    "WrongSize",
]


class PackageRefused(DataError):
    """Abstract: a file that is not read, or not written, as a model."""


class NotAPackage(PackageRefused):
    """No zip archive, or one that `delineate package` did not write."""


class TruncatedPackage(PackageRefused):
    """The end of the file is missing."""


class UnsafePath(PackageRefused):
    """A member would lie outside the archive, or is a link."""


class PickleInside(PackageRefused):
    """The file is, or holds, something that runs code when it is unpickled."""


class UnknownMember(PackageRefused):
    """A member that the format does not have, a compressed one, or one that is there twice."""


class WrongChecksum(PackageRefused):
    """A member is not what its writer put there."""


class WrongSize(PackageRefused):
    """A member is not as long as the archive or its manifest says, or longer than any may be."""


class NewerFormat(PackageRefused):
    """Written by a version that this one does not understand."""


class UntrustedNetwork(PackageRefused):
    """The network is code from elsewhere, which nobody has said to trust."""


class PrivateText(PackageRefused):
    """A name of a case or of a folder would go into the archive."""
