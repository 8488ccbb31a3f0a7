"""The data sets: what each one is, where its files come from and how they are checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypermnesia.data.cifar import SHAPE, Cifar, Split
from hypermnesia.data.digits import load_digits
from hypermnesia.data.files import FileSet
from hypermnesia.data.images import ImageData
from hypermnesia.data.mnist import MnistLike
from hypermnesia.registry import Registry


@dataclass(frozen=True)
class Source:
    """A data set and what is known about it before it is loaded.

    Attributes:
        description: one line for a list of data sets.
        reference: where it was published.
        shape: (channels, height, width) of an image.
        classes: number of classes.
        load: reads it from a folder; None for HYPERMNESIA_DATA, else the cache.
        files: the files that it is read from; None where it comes with a library.
    """

    description: str
    reference: str
    shape: tuple[int, int, int]
    classes: int
    load: Callable[[Path | None], ImageData]
    files: FileSet | None = None


SOURCES: Registry[Source] = Registry("data set")
"""Every data set, by name."""


def load(name: str, data_dir: Path | None = None) -> ImageData:
    """The data set called `name`, checked.

    Args:
        name: one of `SOURCES`.
        data_dir: folder that holds the files, as they are or in a sub-folder named after the set.
            None for the folder that HYPERMNESIA_DATA names, or else for the user's cache, into
            which missing files are downloaded.

    Raises:
        ConfigError: if there is no such data set.
        DataError: if a file is missing, damaged or cannot be downloaded.
    """
    return SOURCES[name].load(data_dir)


SOURCES.add(
    "digits",
    Source(
        "1,797 handwritten digits, 8x8 grey, inside scikit-learn",
        "Alpaydin & Kaynak 1998",
        (1, 8, 8),
        10,
        load_digits,
    ),
)

_MNIST = MnistLike(
    "mnist",
    folders=("mnist", "MNIST/raw", "MNIST"),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    md5=(
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
)
SOURCES.add(
    "mnist",
    Source(
        "70,000 handwritten digits, 28x28 grey",
        "LeCun et al. 1998",
        (1, 28, 28),
        10,
        _MNIST.load,
        _MNIST.files,
    ),
)

_FASHION = MnistLike(
    "fashion-mnist",
    folders=("fashion-mnist", "FashionMNIST/raw", "fashion"),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    md5=(
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
)
SOURCES.add(
    "fashion-mnist",
    Source(
        "70,000 images of clothes, 28x28 grey",
        "Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747",
        (1, 28, 28),
        10,
        _FASHION.load,
        _FASHION.files,
    ),
)

_CIFAR10 = Cifar(
    "cifar10",
    folder="cifar-10-batches-bin",
    label_classes=(10,),
    train=Split(
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        10_000,
        "55a61f79a40ece2ceda9fb5f9f7078f6ea2fc4952489cef56682bcf92cfcc260",
    ),
    test=Split(
        ("test_batch.bin",),
        10_000,
        "325704b01eb92e1e2a6215ae6a916bb7db7de054af0c496be1c7be2e0fcfbf5f",
    ),
    mirrors=(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/"
        "cifar-10-binary.tar.gz",
    ),
    md5="c32a1d4ab5d03f1284b67883e8d87530",
)
SOURCES.add(
    "cifar10",
    Source(
        "60,000 photographs, 32x32 colour",
        "Krizhevsky 2009",
        SHAPE,
        10,
        _CIFAR10.load,
        _CIFAR10.files,
    ),
)

# The digests of CIFAR-100's splits are not known yet: a download is checked by the archive's MD5
# and then by the note that it leaves; files in a user's folder are unverified, see `Cifar`.
_CIFAR100 = Cifar(
    "cifar100",
    folder="cifar-100-binary",
    label_classes=(20, 100),
    train=Split(("train.bin",), 50_000, None),
    test=Split(("test.bin",), 10_000, None),
    mirrors=(
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/"
        "cifar-100-binary.tar.gz",
    ),
    md5="03b5dce01913d631647c71ecec9e9cb8",
)
SOURCES.add(
    "cifar100",
    Source(
        "60,000 photographs in 100 classes, 32x32 colour",
        "Krizhevsky 2009",
        SHAPE,
        100,
        _CIFAR100.load,
        _CIFAR100.files,
    ),
)
