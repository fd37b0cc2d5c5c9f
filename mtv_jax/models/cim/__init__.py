"""Maestro's Condition Injection Module: tokens of sound to tokens of a text encoder's width."""

from mtv_jax.models.cim.config import CIMConfig
from mtv_jax.models.cim.model import ConditionInjectionModule

__all__ = ["CIMConfig", "ConditionInjectionModule"]
