"""Classes to subclass, under the names of ml_framework."""
