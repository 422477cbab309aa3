"""Lines of plain PyTorch that give an image, or the batches of an epoch.

Not in core.export, which brings scikit-learn along (70 MB).
"""

from core.data.dataset import Dataset
from core.data.sources import DATASETS


def torchvision_name(data: Dataset) -> str:
    """What torchvision.datasets calls this data set; "" where it does not have it."""
    return DATASETS[data.name].torchvision if data.name in DATASETS else ""


def image_code(data: Dataset, split: str, position: int) -> str:
    """How to get one image and its label: from torchvision by its number in the file where torchvision has the set, and with
    this project's own package.

    split: "train", "validation" or "test". Validation images come from the training file.
    """
    own = ("from pathlib import Path\nimport torch\nfrom core.data import default_config, load\n\n"
           f'data = load(default_config("{data.name}"), Path("data"))\n'
           f"images, labels = data.{split}.take(torch.tensor([{position}]))")
    name = torchvision_name(data)
    if not name:
        return own
    row = int(data.split(split).rows[position])
    return (f"from torchvision import datasets\n\n"
            f'image, label = datasets.{name}("data", train={split != "test"}, download=True)[{row}]\n\n'
            f"# the same with this project's package, as a tensor\n{own}")


def one_liner(data: Dataset, split: str, position: int) -> str:
    """The shortest line that names the image."""
    name = torchvision_name(data)
    if not name:
        return f"data.{split}.take(torch.tensor([{position}]))"
    return f"datasets.{name}(root, train={split != 'test'})[{int(data.split(split).rows[position])}]"


def loader_code(images: int, shape: tuple[int, ...], batch_size: int, shuffle: bool, drop_last: bool) -> str:
    """A DataLoader with these settings over stand-in data of the same size; runs alone and prints what the page counts."""
    sizes = ", ".join(map(str, shape))
    return f'''import torch
from torch.utils.data import DataLoader, TensorDataset

# stand-ins of the same number and shape: put your own images and labels here
images = torch.zeros(1, {sizes}).expand({images}, {sizes})
labels = torch.zeros({images}, dtype=torch.long)
train_set = TensorDataset(images, labels)

loader = DataLoader(train_set, batch_size={batch_size}, shuffle={shuffle}, drop_last={drop_last})
print(len(loader), "batches")

for images, labels in loader:
    print(images.shape, labels.shape)  # one step of training goes here
    break
'''
