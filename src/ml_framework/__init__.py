"""ml_framework by its own name: its command, and the classes to subclass.

Any other folder `ml_framework` on the path adds to it, so that a lab's networks, losses and steps
are `ml_framework.custom.*`.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
