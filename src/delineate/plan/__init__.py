"""From what a data set looks like to a plan that fits it and the machine."""

from delineate.plan.case_facts import CaseFacts
from delineate.plan.fingerprint import Fingerprint, Intensity, take_fingerprint
from delineate.plan.make import make_plan
from delineate.plan.memory import measure_step
from delineate.plan.plan import Network, Normalisation, Plan
from delineate.plan.plan_file import parse_plan, read_plan, write_plan

__all__ = [
    "CaseFacts",
    "Fingerprint",
    "Intensity",
    "Network",
    "Normalisation",
    "Plan",
    "make_plan",
    "measure_step",
    "parse_plan",
    "read_plan",
    "take_fingerprint",
    "write_plan",
]
