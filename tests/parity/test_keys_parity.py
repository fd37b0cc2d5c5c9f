"""The committed lists of tensors are what the installed diffusers and transformers build."""

import pytest
from goldens import make_keys

pytestmark = pytest.mark.parity


def test_lists_are_up_to_date():
    pytest.importorskip("torch")
    lists = make_keys.original_lists()
    for name, shapes in lists.items():
        committed = make_keys.read_list(make_keys.FOLDER / f"{name}.txt")
        assert committed == shapes, f"{name}: if it was meant to change: python tests/goldens/make_keys.py"
    # Of make_spleeter.py, make_ge2e.py, make_audiobox.py, make_i3d.py, make_lr_asd.py and make_laion_clap.py.
    others = {"spleeter_2stems", "resemblyzer", "audiobox", "i3d_kinetics_400", "lr_asd"}
    others |= {"laion_clap_base", "laion_clap_fused"}
    assert set(lists) | others == {path.stem for path in make_keys.FOLDER.glob("*.txt")}
