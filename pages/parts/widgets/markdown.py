"""Words of people, shown as they are: see pages.parts.shell.markdown, which the frame of every page needs too."""

from pages.parts.shell.markdown import JOINER, as_text, without_places

__all__ = ["JOINER", "as_text", "without_places"]
