"""Parts of a lesson's wall."""
