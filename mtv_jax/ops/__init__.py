"""Array operations the networks share: attention, rotary positions, causal convolution, norms, patches."""
