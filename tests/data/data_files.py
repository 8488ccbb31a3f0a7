"""Small data sets in the official layouts, made on the spot, with their right checksums."""

import gzip
import hashlib
import struct
from pathlib import Path

import torch

from hypermnesia.data.datasets import FILES, Cifar, MnistLike, Split

PIXELS = 3 * 32 * 32


def idx_bytes(array: torch.Tensor) -> bytes:
    header = b"\0\0\x08" + bytes([array.dim()]) + struct.pack(f">{array.dim()}I", *array.shape)
    return header + array.numpy().tobytes()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def mnist_files() -> dict[str, bytes]:
    """Contents of the four files: 12 training and 5 test images of 4x3 pixels."""
    draw = torch.Generator().manual_seed(0)
    contents = []
    for count in (12, 5):
        for shape, high in (((count, 4, 3), 256), ((count,), 10)):
            array = torch.randint(high, shape, generator=draw).to(torch.uint8)
            contents.append(idx_bytes(array))
    return dict(zip(FILES, contents, strict=True))


def mnist_like(mirrors: tuple[str, ...] = ()) -> MnistLike:
    checksums = tuple(md5(content) for content in mnist_files().values())
    return MnistLike("tiny", ("tiny",), mirrors, checksums)


def write_mnist(folder: Path, *, compressed: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in mnist_files().items():
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def cifar_records(count: int, label_classes: tuple[int, ...], seed: int) -> list[bytes]:
    """Records with random pixels and labels that count through the classes."""
    draw = torch.Generator().manual_seed(seed)
    records = []
    for index in range(count):
        labels = bytes(index % classes for classes in label_classes)
        pixels = torch.randint(256, (PIXELS,), generator=draw).to(torch.uint8)
        records.append(labels + pixels.numpy().tobytes())
    return records


def records_digest(records: list[bytes]) -> str:
    digests = sorted(hashlib.sha256(record).digest() for record in records)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def cifar_set(
    label_classes: tuple[int, ...] = (10,), mirrors: tuple[str, ...] = (), archive: bytes = b""
) -> Cifar:
    """Two training files and a test file of 10 records each."""
    train, test = cifar_records(20, label_classes, 1), cifar_records(10, label_classes, 2)
    return Cifar(
        "tiny-cifar",
        "tiny-cifar-bin",
        label_classes,
        Split(("a.bin", "b.bin"), 10, records_digest(train)),
        Split(("test.bin",), 10, records_digest(test)),
        mirrors,
        md5(archive),
    )


def cifar_files(label_classes: tuple[int, ...] = (10,)) -> dict[str, bytes]:
    train, test = cifar_records(20, label_classes, 1), cifar_records(10, label_classes, 2)
    return {
        "a.bin": b"".join(train[:10]),
        "b.bin": b"".join(train[10:]),
        "test.bin": b"".join(test),
    }


def write_cifar(folder: Path, label_classes: tuple[int, ...] = (10,)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in cifar_files(label_classes).items():
        (folder / name).write_bytes(content)
