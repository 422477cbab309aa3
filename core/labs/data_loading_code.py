"""The lab on data loading as scripts that run alone and print what the page shows."""

from core.labs.data_folder import script_head
from core.labs.data_loading import (
    AUGMENTATIONS,
    BATCH,
    EPOCHS,
    FEW_BATCH,
    FEW_RATE,
    FEW_STEPS,
    HELD_OUT,
    HIDDEN,
    RATE,
    transform_code,
)
from core.labs.dataset_choices import RIGHT, class_code

LOADER = '''{head}

{dataset}

dataset = CustomImageDataset("digits/labels.csv", "digits/images", transform=ToTensor())
generator = torch.Generator().manual_seed({seed})  # without it every start has another order
loader = DataLoader(dataset, batch_size={batch_size}, shuffle={shuffle}, drop_last={drop_last}, generator=generator)
print(len(loader), "batches")
for epoch in range(2):
    for images, labels in loader:
        print(f"epoch {{epoch + 1}}:", tuple(images.shape), labels.tolist())

# What shuffle is for: the same training on digits sorted by class, with it and without
digits = load_digits()
order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
x = torch.from_numpy((digits.images * 255 / 16).round().astype("uint8"))[:, None].float() / 255  # (1797, 1, 8, 8)
y = torch.from_numpy(digits.target).long()
held_out, train = order[:{held_out}], order[{held_out}:]
train = train[y[train].argsort(stable=True)]


def learn(shuffle):
    """Accuracy on the held-out digits after each of {epochs} epochs."""
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(TensorDataset(x[train], y[train]), batch_size={batch}, shuffle=shuffle, generator=generator)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, {hidden}), nn.ReLU(), nn.Linear({hidden}, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr={rate})
    accuracies = []
    for _ in range({epochs}):
        for images, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        with torch.no_grad():
            accuracies.append((model(x[held_out]).argmax(1) == y[held_out]).float().mean().item())
    return accuracies


for shuffle in (True, False):
    print(f"shuffle={{shuffle}}:", [round(accuracy, 4) for accuracy in learn(shuffle)])
'''
CONCAT = '''{head}

{dataset}

plain = CustomImageDataset("digits/labels.csv", "digits/images", transform=ToTensor())
varied = CustomImageDataset("digits/labels.csv", "digits/images", transform={transform})
joined = ConcatDataset([plain, varied])  # the same as plain + varied
print(len(plain), "+", len(varied), "=", len(joined), "samples; the parts end at", joined.cumulative_sizes)

digits = load_digits()
x = torch.from_numpy((digits.images * 255 / 16).round().astype("uint8"))[:, None].float() / 255  # (1797, 1, 8, 8)
y = torch.from_numpy(digits.target).long()
others = torch.ones(len(y), dtype=torch.bool)  # digits that are not in the folder
for label in range(10):
    others[(y == label).nonzero()[:5, 0]] = False


def learn(dataset, seed):
    """Accuracy on the other digits after {steps} steps."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, {hidden}), nn.ReLU(), nn.Linear({hidden}, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr={rate})
    loader = DataLoader(dataset, batch_size={batch}, shuffle=True)
    taken = 0
    while taken < {steps}:
        for images, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
            taken += 1
    with torch.no_grad():
        return (model(x[others]).argmax(1) == y[others]).float().mean().item()


for name, dataset in (("alone", plain), ("twice", ConcatDataset([plain, plain])), ("joined", joined)):
    print(f"{{name}}: {{learn(dataset, seed=0):.4f}}")
'''


def loader_code(batch_size: int, shuffle: bool, drop_last: bool, seed: int) -> str:
    """Two epochs' batches, and the training with and without shuffle of seed 0."""
    head = script_head("from torchvision.transforms import ToTensor", "DataLoader, Dataset, TensorDataset")
    return LOADER.format(head=head, dataset=class_code(RIGHT), seed=seed, batch_size=batch_size, shuffle=shuffle,
                         drop_last=drop_last, held_out=HELD_OUT, epochs=EPOCHS, batch=BATCH, hidden=HIDDEN, rate=RATE)


def concat_code(name: str) -> str:
    """A set joined with its augmented copy, and what comes of it with seed 0. Raises KeyError for an augmentation there isn't."""
    first = AUGMENTATIONS[name].code.split("(")[0]
    more = ", InterpolationMode" if "InterpolationMode" in AUGMENTATIONS[name].code else ""
    names = ", ".join(sorted(["Compose", first, "ToTensor"]))
    head = script_head(f"from torchvision.transforms import {names}{more}", "ConcatDataset, DataLoader, Dataset")
    return CONCAT.format(head=head, dataset=class_code(RIGHT), transform=transform_code(name), hidden=HIDDEN, rate=FEW_RATE,
                         batch=FEW_BATCH, steps=FEW_STEPS)
