"""How a script begins: what it does, what to install for it, and its imports."""

import re
import textwrap

from core.export.model_class import LINE, imports_of

# What each package is called by pip, in the version of requirements.txt: torch and torchvision fit each other only in pairs
PACKAGES = {"torch": "torch==2.13.0", "torchvision": "torchvision==0.28.0", "numpy": "numpy==2.4.6",
            "sklearn": "scikit-learn==1.9.1", "PIL": "pillow==13.0.0", "plotly": "plotly==7.1.0"}


def install_line(imports: str) -> str:
    """`pip install …` with exactly the packages that these import lines name."""
    named = set(re.findall(r"^(?:import|from) (\w+)", imports, re.M))
    return f"pip install {' '.join(pinned for package, pinned in PACKAGES.items() if package in named)}"


def with_head(about: str, text: str) -> str:
    """A whole script: its docstring, its imports and then `text`.

    about: sentences; what people have named may stand in them.
    """
    imports = imports_of(text)
    # a title that could end the docstring would be run as code
    plain = textwrap.fill(" ".join(about.replace("\\", "/").replace('"', "”").split()), LINE)
    return f'"""{plain}\n\nInstall first: {install_line(imports)}\n"""\n\n{imports}\n\n{text}\n'


__all__ = ["PACKAGES", "install_line", "with_head"]
