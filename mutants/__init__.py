"""Gateways broken in exactly one named way: the proof that the checks can fail.

A mutant is the reference gateway with one behaviour replaced. Its name says what the faulty gateway does; `defects`
names the public reports it is drawn from. A requirement's `broken_by` lists the mutants that its check must catch.
"""

from mutants.registry import REGISTRY, Mutant, UnknownMutant, find

__all__ = ["REGISTRY", "Mutant", "UnknownMutant", "find"]
