"""The lab on tensors."""
