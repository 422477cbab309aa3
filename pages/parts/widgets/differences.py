"""What well-known notes say or do otherwise than a preset, as a list in Markdown."""

from core.presets import Preset


def differences(entry: Preset, heading: str = "") -> str:
    """A line for each, below a heading; "" for a system that no notes have."""
    lines = "\n".join(f"- {line}" for line in entry.differs)
    return f"{heading}\n{lines}" if heading and lines else lines
