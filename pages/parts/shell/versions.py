"""Forms whose widgets are made anew where what they show was changed from outside them: a number is part of their keys.

A browser that has not drawn the new widgets yet sends what the old ones show along with whatever is pressed next. Streamlit has
forgotten these by then and takes that for choices just made: the old values would come back. So only those widgets are heard that
were drawn last.
"""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st


@dataclass(frozen=True)
class Form:
    """name: what its widgets' keys begin with. version: the number's key in the session, of pages.parts.shell.keys."""

    name: str
    version: str

    def key(self, name: str) -> str:
        """The key of a widget that is drawn now."""
        st.session_state[f"{self.version}.drawn"] = number = st.session_state.get(self.version, 0)
        return f"{self.name}.{number}.{name}"

    def hears(self, key: str) -> bool:
        """Whether a widget that says it was changed is one of those that were drawn last."""
        return key.startswith(f"{self.name}.{st.session_state.get(f'{self.version}.drawn', 0)}.")

    def heard(self, key: str, act: Callable[..., None]) -> Callable[..., None]:
        """What a widget does when it is changed: `act`, with its arguments, as long as the widget is heard."""
        return lambda *given: act(*given) if self.hears(key) else None

    def renew(self) -> None:
        """Have all its widgets made anew, which then show what there is now."""
        st.session_state[self.version] = st.session_state.get(self.version, 0) + 1
