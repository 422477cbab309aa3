"""The lab on activations, losses and optimizers."""
