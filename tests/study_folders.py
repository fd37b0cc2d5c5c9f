"""Small result folders of several systems, for tests of studies."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mtv_jax.io.video import write_video

RATE = 16_000


def write_system(folder: Path, ids: Sequence[str], shade: int, *, size=(16, 16), sound=True) -> Path:
    """Grey videos of half a second with a tone, and their manifest, as `evaluate generate` writes one."""
    lines = []
    for number, name in enumerate(ids):
        frames = np.full((4, *size, 3), shade + 10 * number, np.uint8)
        tone = 0.1 * np.sin(np.arange(RATE // 2) * 0.1 * (number + 1)).astype(np.float32)
        write_video(
            folder / "videos" / f"{name}.mp4",
            frames,
            8,
            audio=tone if sound else None,
            sample_rate=RATE,
            preset="ultrafast",
            comment=f"made by {folder.name}",
        )
        line = {"id": name, "video": f"videos/{name}.mp4", "prompt": f"A bell </script> & {name}", "seed": 0}
        lines.append(json.dumps(line))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
