"""What well-known notes say or do otherwise than a preset, as a list in Markdown."""

from core.presets import Preset


def differences(entry: Preset) -> str:
    """A line for each; "" for a system that no notes have."""
    return "\n".join(f"- {line}" for line in entry.differs)
