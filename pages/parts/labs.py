"""The labs: every learn page with its title, its goal in two sentences and its icon."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lab:
    """One lab. goal: two sentences; icon: a Material symbol."""

    title: str
    goal: str
    icon: str


LABS: dict[str, Lab] = {
    "pages/learn_building_blocks.py": Lab(
        "Activations, losses, optimizers", "See what each building block does to numbers and to gradients. Then race seven "
        "optimizers across the same landscape and say why one wins.", ":material/category:"),
    "pages/learn_saving.py": Lab(
        "Save and load", "Look inside a saved network and find out what is in the file and what is not. Then see what can go wrong "
        "on the way back: a hostile file, weights that don't fit, a forgotten eval().", ":material/save:"),
}
