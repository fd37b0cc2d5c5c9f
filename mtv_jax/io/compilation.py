"""JAX's persistent compilation cache, which lets a second run start without compiling."""

import hashlib
import os
import platform
from pathlib import Path

import jax


def enable_compilation_cache(directory: str = "auto") -> Path | None:
    """Caches compiled programs in `directory`; call it before anything is compiled.

    Args:
      directory: `auto` is `$XDG_CACHE_HOME/mtv_jax/jax` (`~/.cache/mtv_jax/jax`), the empty string disables the cache.

    Returns:
      The folder of the cache, or None. On CPUs there is one per type of processor: programs contain its
      instructions, and machines with different processors may share a home directory.
    """
    if not directory:
        return None
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(home) / "mtv_jax" / "jax" if directory == "auto" else Path(directory).expanduser()
    if jax.default_backend() == "cpu":
        path = path / f"cpu-{_processor()}"
    jax.config.update("jax_compilation_cache_dir", str(path))
    # By default what compiles in under a second is not kept; sampling a small model is many such programs.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return path


def _processor() -> str:
    """A hash of the processor's instruction set."""
    text = platform.machine() + platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        text += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(text.encode()).hexdigest()[:12]
