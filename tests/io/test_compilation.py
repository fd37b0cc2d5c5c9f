from pathlib import Path

import jax
import pytest

from mtv_jax.io.compilation import enable_compilation_cache


@pytest.fixture
def chosen(monkeypatch):
    """What JAX's config is set to; it keeps its own."""
    values = {}
    monkeypatch.setattr(jax.config, "update", values.__setitem__)
    return values


def test_the_cache_is_in_the_users_folder_or_where_it_is_asked_for(chosen, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    auto = enable_compilation_cache()
    assert auto is not None
    assert auto.parent == tmp_path / "xdg" / "mtv_jax" / "jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    named = enable_compilation_cache("~/programs")
    assert named == tmp_path / "programs" / auto.name
    assert chosen["jax_compilation_cache_dir"] == str(named)
    assert enable_compilation_cache("") is None
    assert chosen["jax_compilation_cache_dir"] == str(named)


def test_processors_of_other_instructions_have_other_folders(chosen, tmp_path, monkeypatch):
    def folder(clock, flags):
        text = f"MHz : {clock}\nflags : {flags}\n"
        with monkeypatch.context() as patch:
            patch.setattr(Path, "exists", lambda path: True)
            patch.setattr(Path, "read_text", lambda path, **_: text)
            return enable_compilation_cache(str(tmp_path))

    assert folder(1000, "fpu sse") == folder(2000, "fpu sse") != folder(1000, "fpu avx")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert enable_compilation_cache(str(tmp_path)) == tmp_path
