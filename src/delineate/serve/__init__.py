"""A model behind HTTP: a scan is uploaded, its mask and volumes come back."""

from delineate.serve.limits import Limits
from delineate.serve.service import Service
from delineate.serve.start import require_packages, serve

__all__ = ["Limits", "Service", "require_packages", "serve"]
