"""Where the golden numbers are (tests/goldens/README.md)."""

import os
from pathlib import Path

OURS = Path(__file__).parent / "goldens"
"""Those that scripts of this repository made, whatever `MTV_JAX_GOLDENS` says."""
ORIGINALS = Path(os.environ.get("MTV_JAX_GOLDENS") or OURS)
"""Those of the authors' code, such as `mtv/`: `MTV_JAX_GOLDENS` may put other variants in their place."""
