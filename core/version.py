"""Which version of Torch Playground this is, which one wrote something, and the PyTorch that pages name. Imports no torch."""

from importlib.metadata import version

VERSION = "0.15.0"  # pyproject.toml reads it here; CHANGELOG.md says what came with which
NUMBERED_SINCE = "0.6.0"  # what is older kept no number with its runs
TORCH_VERSION = version("torch").split("+")[0]


def another_version(wrote: str) -> str:
    """For people: which version wrote something ("" where it kept no number), and which one can't read it.

    "another version of Torch Playground (0.8.0; this is 0.7.0)".
    """
    wrote = " ".join(wrote.split())[:20]  # it comes from a file
    return f"another version of Torch Playground ({wrote or f'one before {NUMBERED_SINCE}'}; this is {VERSION})"
