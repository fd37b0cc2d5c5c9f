"""What does an autoencoder leave of the theatre's mouths, events, mood and looks?

    python benchmarks/theatre_vae.py --vae runs/tiny/vae [--clips 200]

Prints JSON: the theatre suite's figures of clips that went through the autoencoder (a ceiling for any denoiser on its
latents), the PSNR, and the spread of the latents' means. The clips are of seeds that training cannot reach.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.data.transforms import to_uint8, to_unit
from mtv_jax.evaluation.theatre_cases import performed
from mtv_jax.evaluation.theatre_readers import fit_readers
from mtv_jax.evaluation.theatre_run import Run, evaluation_clips, watch
from mtv_jax.evaluation.theatre_suite import figures
from mtv_jax.io.progress import progress
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.theatre import TheatreConfig
from mtv_jax.weights.pretrained import load_model


class Coder:
    """An autoencoder that notes what it loses."""

    def __init__(self, folder: Path):
        model, params = load_model(folder / "vae" if (folder / "vae").is_dir() else folder)
        self.errors: list[float] = []
        self.spreads: list[np.ndarray] = []

        @jax.jit
        def through(video):
            mean, _ = model.apply(params, video, method="encode")
            return model.apply(params, mean, method="decode"), mean

        self._through = through

    def __call__(self, videos: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Videos uint8 [F H W 3], one by one."""
        for frames in videos:
            video = to_unit(frames)
            decoded, mean = self._through(jnp.asarray(video)[None])
            self.errors.append(float(np.mean((np.clip(decoded[0], -1, 1) - video) ** 2)))
            self.spreads.append(np.asarray(mean, np.float64).reshape(-1, mean.shape[-1]).std(axis=0))
            yield np.asarray(to_uint8(decoded[0]))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--vae", required=True, help="pipeline folder, folder of an autoencoder, or preset")
    parser.add_argument("--clips", type=int, default=200)
    args = parser.parse_args(argv)
    coder = Coder(pipeline_folder(args.vae))
    clips = evaluation_clips(Run(TheatreConfig(), args.clips))
    samples = watch(fit_readers(), clips, [0], lambda cases: coder(map(performed, progress(cases, "coding"))))
    report = {
        "psnr": float(np.mean([10 * np.log10(4 / error) for error in coder.errors])),
        "spread of means, by channel": [round(float(x), 3) for x in np.sort(np.mean(coder.spreads, axis=0))],
        "figures": [
            {
                k: v
                for k, v in figure.to_json().items()
                if k in ("claim", "name", "value", "interval", "target")
            }
            for figure in figures(clips, samples)
        ],
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
