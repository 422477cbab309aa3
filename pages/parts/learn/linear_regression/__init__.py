"""The lab on linear regression."""
