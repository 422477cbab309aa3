"""Functions that read a data set's images where this app keeps them, as text for a script without this project.

Each reader gives training images (N, C, H, W) uint8 and their labels (N,) int64, then the same for testing, with the images in
the order in which core.data has them. Whatever is missing or damaged ends the script with one line.
"""

import json
from dataclasses import dataclass

from core.data import DatasetSpec
from core.data.own.sets import FOLDER, PREFIX, is_own
from core.data.sources import DIGITS_TEST
from core.data.sources.archives import CIFAR_FOLDER, CIFAR_TAR, EMNIST_PARTS, EMNIST_ZIP
from core.data.sources.idx import FILES
from core.export.digits_code import enlarging_code, placing_code
from core.export.forward import ExportError

# Addresses and MD5 as core.data.download.remotes() has them, which would import torchvision for it
MIRRORS = {"mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
           "fashion_mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
           "kmnist": ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)}
SUMS = {"mnist": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432", "9fb629c4189551a2d022fa330f9573f3",
                  "ec29112dd5afa0611ce80d1b7f02629c"),
        "fashion_mnist": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
                          "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
        "kmnist": ("bdb82020997e1d708af4cf47b453dcf7", "e144d726b3acfaa3e44228e80efcd344", "5c965bf0a639b31b8f53240b1b52f4d7",
                   "7320c461ea6c1c855c0b718fb2a4b134")}
EMNIST = ("58c8d27c78d21e728a6bc7b3cc06412e", "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip")
CIFAR10 = ("c32a1d4ab5d03f1284b67883e8d87530", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")

WHERE = '''parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", metavar="DIR", help="the app's data folder, if not PLAYGROUND_DATA or “data” here")
given = parser.parse_known_args()[0].data
PLACES = [Path(place).expanduser() for place in ([given] if given else [os.environ.get("PLAYGROUND_DATA"), "data"]) if place]
if given and not os.path.isdir(PLACES[0]):
    sys.exit(f"There is no folder {given}. Name the app's data folder: --data DIR.")


def data_folder(name):
    """Where the app has a data set: in the first of these places that holds its folder."""
    return next((place / name for place in PLACES if os.path.isdir(place / name)), PLACES[0] / name)'''

DOWNLOAD = '''def download(path, addresses, md5):
    """Fetches a file to where the app has it, from the first address that gives it whole."""
    trouble = ""
    for address in addresses:
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                print(f"downloading {address}")
                content = answer.read()
        except (OSError, HTTPException) as error:
            trouble = getattr(error, "reason", error)
            continue
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
            break
        trouble = "another file came"
    else:
        sys.exit(f"{path} is missing and can't be downloaded ({trouble}). Put it there, or name another data folder: --data DIR.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        sys.exit(f"{path} can't be written: {error.strerror}. Name another data folder: --data DIR.")'''

IDX = '''def unpacked(path):
    """The bytes of a file, gzipped or not."""
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        sys.exit(f"{path} can't be read ({error}). If it is damaged, delete it and start again.")


def values_of(content, shape, path):
    """The values (shape) uint8 of an idx file: a header that says the shape, then one byte for each."""
    header = bytes([0, 0, 8, len(shape)]) + b"".join(length.to_bytes(4, "big") for length in shape)
    if content[:len(header)] != header or len(content) != len(header) + math.prod(shape):
        sys.exit(f"{path} is damaged: it does not hold {' × '.join(map(str, shape))} values. Delete it and start again.")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=len(header)).reshape(shape)'''

READ_IDX = '''def read_idx(path, shape, mirrors, md5):
    """A file of MNIST's kind, which the app has unpacked or gzipped; downloaded where it is not there."""
    if not os.path.isfile(path):
        path = path.with_name(f"{path.name}.gz")
    if not os.path.isfile(path):
        download(path, [mirror + path.name for mirror in mirrors], md5)
    return values_of(unpacked(path), shape, path)'''


@dataclass(frozen=True)
class Reader:
    """helpers: functions it needs, which readers may share. code: the function itself. call: what gives the four tensors."""

    helpers: tuple[str, ...]
    code: str
    call: str


def reader_of(name: str, spec: DatasetSpec) -> Reader:
    """How a script reads a data set of images. Raises ExportError for one that it can't."""
    if is_own(name):
        return _own(name.removeprefix(PREFIX), spec)
    if name in MIRRORS:
        return _idx(name, spec)
    if name in READERS:
        return READERS[name](spec)
    raise ExportError(f"{spec.title} can't be read in a plain script: this app alone has it in this form.")


def _idx(name: str, spec: DatasetSpec) -> Reader:
    train, test = spec.counts
    code = f'''def read_{name}():
    """{spec.title}: {train} images and their labels to learn from, {test} for testing."""
    folder, mirrors = data_folder("{spec.folder}"), {json.dumps(MIRRORS[name])}
    return (read_idx(folder / "{FILES[0]}", ({train}, 28, 28), mirrors, "{SUMS[name][0]}")[:, None],
            read_idx(folder / "{FILES[1]}", ({train},), mirrors, "{SUMS[name][1]}").long(),
            read_idx(folder / "{FILES[2]}", ({test}, 28, 28), mirrors, "{SUMS[name][2]}")[:, None],
            read_idx(folder / "{FILES[3]}", ({test},), mirrors, "{SUMS[name][3]}").long())'''
    return Reader((WHERE, DOWNLOAD, IDX, READ_IDX), code, f"read_{name}()")


def _emnist(spec: DatasetSpec) -> Reader:
    train, test = spec.counts
    code = f'''def read_emnist():
    """EMNIST's letters, {train} to learn from and {test} for testing; rows and columns exchanged, labels from 1."""
    folder = data_folder("{spec.folder}")
    packed, found = folder / "{EMNIST_ZIP}", []
    for name, shape in (("{EMNIST_PARTS[0]}", ({train}, 28, 28)), ("{EMNIST_PARTS[1]}", ({train},)),
                        ("{EMNIST_PARTS[2]}", ({test}, 28, 28)), ("{EMNIST_PARTS[3]}", ({test},))):
        path = next((path for path in (folder / name, folder / f"{{name}}.gz") if os.path.isfile(path)), packed)
        if not os.path.isfile(path):
            download(packed, ["{EMNIST[1]}"], "{EMNIST[0]}")
        if path == packed:
            try:
                with zipfile.ZipFile(packed) as archive:
                    content = gzip.decompress(archive.read(f"gzip/{{name}}.gz"))
            except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
                sys.exit(f"{{packed}} can't be read ({{error}}). If it is damaged, delete it and start again.")
        else:
            content = unpacked(path)
        found.append(values_of(content, shape, path))
    return found[0].transpose(1, 2)[:, None], found[1].long() - 1, found[2].transpose(1, 2)[:, None], found[3].long() - 1'''
    return Reader((WHERE, DOWNLOAD, IDX), code, "read_emnist()")


def _cifar10(spec: DatasetSpec) -> Reader:
    train, test = spec.counts
    code = f'''def read_cifar10():
    """CIFAR-10's binary version, {train} images to learn from, {test} for testing: label, then 32×32 red, green, blue."""
    packed, folder = (data_folder("{spec.folder}") / name for name in ("{CIFAR_TAR}", "{CIFAR_FOLDER}"))
    names = [f"data_batch_{{number}}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    if not os.path.isfile(packed) and not all(os.path.isfile(folder / name) for name in names):
        download(packed, ["{CIFAR10[1]}"], "{CIFAR10[0]}")
    try:
        if os.path.isfile(packed):
            with tarfile.open(packed) as archive:
                contents = [archive.extractfile(f"{CIFAR_FOLDER}/{{name}}").read() for name in names]
        else:
            contents = [(folder / name).read_bytes() for name in names]
    except (OSError, EOFError, KeyError, AttributeError, tarfile.TarError, zlib.error) as error:
        sys.exit(f"CIFAR-10 in {{packed.parent}} can't be read ({{error}}). Delete what is damaged and start again.")
    if len(content := b"".join(contents)) != {train + test} * 3073:
        sys.exit(f"CIFAR-10 in {{packed.parent}} is damaged: it has {{len(content)}} bytes. Delete it and start again.")
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).view({train + test}, 3073)
    images, labels = records[:, 1:].reshape({train + test}, 3, 32, 32), records[:, 0].long()
    return images[:{train}], labels[:{train}], images[{train}:], labels[{train}:]'''
    return Reader((WHERE, DOWNLOAD), code, "read_cifar10()")


def _digits(spec: DatasetSpec) -> Reader:
    code = f'''def read_digits():
    """scikit-learn's digits: {spec.counts[0]} images and their labels to learn from, {spec.counts[1]} for testing."""
    digits = load_digits()
    inks = [enlarge(ink) for ink in (digits.images / 16).astype(np.float32)]
    images = torch.from_numpy(np.rint(np.stack(inks) * 255).astype(np.uint8))[:, None]
    labels = torch.from_numpy(digits.target.astype(np.int64))
    # a fifth is for testing, always the same; scikit-learn has no test set of its own
    order = np.random.default_rng(0).permutation(len(labels))
    test, learn = np.sort(order[:{DIGITS_TEST}]), np.sort(order[{DIGITS_TEST}:])
    return images[learn], labels[learn], images[test], labels[test]'''
    return Reader((placing_code(), enlarging_code()), code, "read_digits()")


def _own(name: str, spec: DatasetSpec) -> Reader:
    train, test = spec.counts
    code = f'''def read_own(name, train, test, shape):
    """Images of one's own as the app keeps them, all in one size: in imported/NAME of its data folder, or in a copy of that."""
    folder = data_folder(f"{FOLDER}/{{name}}")
    if not os.path.isdir(folder) and os.path.isfile(PLACES[0] / "images.npy"):
        folder = PLACES[0]
    try:
        images = torch.from_numpy(np.load(folder / "images.npy", allow_pickle=False))
        labels = torch.from_numpy(np.load(folder / "labels.npy", allow_pickle=False))
    except FileNotFoundError as error:
        sys.exit(f"{{error.filename}} is missing. Name the app's data folder, or a copy of its {FOLDER}/{{name}}: --data DIR.")
    except (OSError, EOFError, ValueError, TypeError):
        sys.exit(f"The images in {{folder}} can't be read: a file there is damaged. Import them again, or copy the folder again.")
    if images.shape != (train + test, *shape) or labels.shape != (train + test,):
        sys.exit(f"{{folder}} holds other images than those that this script was written for.")
    return images[:train], labels[:train], images[train:], labels[train:]  # those to learn from come first'''
    return Reader((WHERE,), code, f'read_own("{name}", {train}, {test}, {spec.input_shape})')


READERS = {"digits": _digits, "emnist_letters": _emnist, "cifar10": _cifar10}
