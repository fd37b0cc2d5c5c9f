"""Detectors of shots, for tests."""

from mtv_jax.audio.separation.base import ModelCard


class Known:
    """A detector that knows the changes, and keeps what it was shown.

    It says a change `delay` frames after its end, and of a transition of two frames or more that it lasts, if
    `says_lasting`.
    """

    def __init__(self, *changes, height=0, delay=0, says_lasting=True):
        self.known, self.height, self.delay, self.says_lasting = changes, height, delay, says_lasting
        self.seen = []

    def card(self):
        return ModelCard("known", "1", "CC0-1.0", None, "classical")

    def begin(self, rate):
        self.seen = []
        return _Finder(self)


class _Finder:
    def __init__(self, detector):
        self.detector, self.left = detector, set(detector.known)

    @property
    def count(self):
        return len(self.detector.seen)

    @property
    def settled(self):
        return max(min([self.count - self.detector.delay, *(x.frame for x in self.left)]), 0)

    @property
    def lasting(self):
        begun = [x for x in self.left if x.frame == self.settled and x.kind != "cut"]
        parts = [type(x)(x.frame, x.kind, min(x.end, self.count)) for x in begun if x.frame + 1 < self.count]
        return parts if self.detector.says_lasting else []

    def put(self, pixels):
        self.detector.seen.append(pixels.shape)
        found = [x for x in self.left if x.end < self.count - self.detector.delay]
        self.left -= set(found)
        return found

    def end(self):
        return [*self.left]
