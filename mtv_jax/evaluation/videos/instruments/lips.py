"""Sync-C and Sync-D by SyncNet."""

from mtv_jax.evaluation.metrics.sync import VARIANT, values_of
from mtv_jax.evaluation.syncnet import read_frames, score, towers
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.metric import Measure, Weights
from mtv_jax.evaluation.videos.networks import load_network
from mtv_jax.faces.cuts import scene_detection
from mtv_jax.faces.mtcnn import MTCNN, network_files
from mtv_jax.io.files import sha256
from mtv_jax.io.video import probe
from mtv_jax.models.syncnet.preprocessing import FPS, SAMPLE_RATE

_HOW = "convert it: python -m mtv_jax.convert --from syncnet --in syncnet_v2.model --out WEIGHTS/syncnet"


def open_sync(weights: Weights) -> Measure:
    """Raises UserError if SyncNet, the detector of faces or that of cuts is missing."""
    faces, cuts = network_files(), scene_detection().__version__
    network = load_network(weights, "syncnet", "syncnet", _HOW)
    both, detector = towers(network.model, network.params), MTCNN()

    def measure(clip: Clip) -> dict[str, float | int | str]:
        if clip.item.audio is None and not probe(clip.item.video).has_audio:
            return {"failure": "no sound"}
        sound = clip.sound(SAMPLE_RATE)
        return values_of(score(read_frames(clip.item.video), sound, both, detector))

    return Measure(
        f"sync_{VARIANT}",
        measure,
        {
            "weights": network.sha256,
            "faces": {path.name: sha256(path) for path in faces},
            "resize": "the face at 224, cut out with a margin of .4",
            "cuts": f"PySceneDetect {cuts}",
            "fps": FPS,
            "sample_rate": SAMPLE_RATE,
        },
        network.untrained,
    )
