"""A world of sounding objects: one to three things with a look and a sound each, before a background that may sound.

How loud a thing is heard decides how large and bright it is seen. Boxes and activity are known for every frame. A clip
is determined by (seed, index) and its config; `render_objects` makes one. NumPy only, no networks.
"""

from mtv_jax.theatre.objects.clip import ObjectClip, objects_prompt, render_objects
from mtv_jax.theatre.objects.kinds import BACKGROUNDS, KINDS
from mtv_jax.theatre.objects.plan import SEGMENT, ObjectsConfig, ObjectsPlan, plan_objects

__all__ = [
    "BACKGROUNDS",
    "KINDS",
    "SEGMENT",
    "ObjectClip",
    "ObjectsConfig",
    "ObjectsPlan",
    "objects_prompt",
    "plan_objects",
    "render_objects",
]
