"""Collectives are found in a program's text, those of loops as often as these run."""

import pytest

from mtv_jax.planning.hlo import collectives

PROGRAM = """HloModule jit_step

%body.1 (param.1: (s32[], bf16[8,16])) -> (s32[], bf16[8,16]) {
  %param.1 = (s32[], bf16[8,16]) parameter(0)
  %all-gather.1 = bf16[32,16]{1,0} all-gather(%x), channel_id=1, replica_groups=mesh['fsdp'=4,'tensor'=2] {'fsdp'}
  %call = bf16[8,16] fusion(%x), kind=kLoop, calls=%inner.1
}

%inner.1 (param.3: bf16[8,16]) -> bf16[8,16] {
  %cp = (f32[4,1], f32[4,1], u32[]) collective-permute-start(%y), channel_id=5
}

%condition.1 (param.2: (s32[], bf16[8,16])) -> pred[] {
  %constant.9 = s32[]{:T(128)} constant(42)
  ROOT %lt = pred[] compare(%i, %constant.9), direction=LT
}

ENTRY %main (p: f32[100]) -> f32[100] {
  %p = f32[100] parameter(0)
  %while.1 = (s32[], bf16[8,16]) while(%t), condition=%condition.1, body=%body.1
  %all-reduce.1 = f32[100]{0} all-reduce(%p), channel_id=2, replica_groups={{0,1},{2,3}}, to_apply=%add
  %reduce-scatter.1 = f32[25]{0} reduce-scatter(%p), channel_id=3, replica_groups=[2,4], dimensions={0}
}
"""


@pytest.mark.parametrize(
    ("kind", "count", "sent"),
    [
        ("all-gather", 42, 42 * 32 * 16 * 2 * 3 / 4),  # of four parts, three come from others
        ("collective-permute", 42, 42 * 16),
        ("all-reduce", 1, 2 * 400 / 2),
        ("reduce-scatter", 1, 4 * 100 * 3 / 4),
    ],
)
def test_counts_and_bytes(kind, count, sent):
    found = collectives(PROGRAM)[kind]
    assert found.count == count
    assert found.bytes == pytest.approx(sent)
