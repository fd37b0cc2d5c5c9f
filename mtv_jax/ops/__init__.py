"""Array operations shared by the networks: attention, rotary positions, causal convolution, norms, patches."""
