"""Who asks store, engine or data for something, and what they may do with what somebody made."""

from dataclasses import dataclass, field
from typing import Literal

from core.limits import NO_LIMITS, Limits

EVERYBODY = ""  # owner of what belongs to all: data sets that the person who runs the server has put there
CLASS = "class:"  # and a lesson's code: owner of the data sets that are made of what its class draws
NOT_YOURS = "This run belongs to somebody else. You can look at it and use its settings."
NOT_YOUR_DATA = "The data belong to somebody else, who alone can train on them or delete them. Choose another data set."
NOT_YOUR_CLASS = "A class has drawn these data: only who is in its lesson can train on them. Open the lesson's link first."
ONLY_THE_TEACHER = "Only the teacher can do this."
DELETED_BY_TEACHER = "The teacher has deleted this run; only a teacher can bring it back."
ONLY_THE_SERVER = "Only the server itself does this."


@dataclass(frozen=True)
class Actor:
    """One who asks.

    key: what their runs and data sets are kept under, and nobody is shown: whoever knows it is not let in by it, but could tell
    whose is whose. kind: a visitor of a server that many use, its teacher, or "local": the one person at this machine, its
    command line and its training processes, to whom everything is allowed. limits: what they may take of the server. lesson: the
    code of the one they take, which is all it takes to use what its class draws.
    """

    key: str = field(repr=False)
    kind: Literal["visitor", "teacher", "local"]
    limits: Limits = NO_LIMITS
    lesson: str = field(default="", repr=False)

    @property
    def is_local(self) -> bool:
        return self.kind == "local"

    @property
    def sees_all(self) -> bool:
        """Whether lists show them what others have made, too."""
        return self.kind != "visitor"

    def may_change(self, owner: str) -> bool:
        """Whether they may stop, name, delete, … what is `owner`'s. What is everybody's is changed by a teacher alone."""
        return self.sees_all or (owner == self.key and owner != EVERYBODY)

    @property
    def data_owner(self) -> str:
        """Under whom their data sets are kept: a visitor's are their own, a teacher's and this machine's are everybody's."""
        return self.key if self.kind == "visitor" else EVERYBODY

    def may_use(self, owner: str) -> bool:
        """Whether a list shows them what is `owner`'s, and they may train on it."""
        return self.sees_all or owner in (EVERYBODY, self.key) or self.draws_with(owner)

    def draws_with(self, owner: str) -> bool:
        """Whether `owner` is the class of the lesson that they take."""
        return bool(self.lesson) and owner == CLASS + self.lesson


LOCAL = Actor(EVERYBODY, "local")
ANYBODY = Actor(EVERYBODY, "visitor")  # who may use no more than what is everybody's
