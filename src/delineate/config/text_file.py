"""The text of a file that a person writes: settings of any kind."""

from pathlib import Path

from delineate.errors import ConfigError

__all__ = ["read_text"]


def read_text(path: str | Path, name: str | None = None) -> str:
    """The text, without the mark that some editors begin it with; what is none is a ConfigError.

    Args:
        name: what messages call the file; None, its path.
    """
    name = name or str(path)
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: not text in UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}.") from None
