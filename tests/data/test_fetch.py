import gzip
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from data_files import cifar_files, cifar_set, mnist_files, mnist_like, write_cifar, write_mnist

from hypermnesia.data.datasets import NOTE
from hypermnesia.data.download import unpack
from hypermnesia.errors import DataError


def serve_mnist(mirror, place: str) -> None:
    for name, content in mnist_files().items():
        mirror.contents[f"/{place}/{name}.gz"] = gzip.compress(content)


def tar_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_second_mirror_serves_when_the_first_fails(mirror, cache: Path, tmp_path: Path) -> None:
    serve_mnist(mirror, "good")
    data = mnist_like((f"{mirror.url}gone/", f"{mirror.url}good/")).load(None)
    write_mnist(tmp_path / "direct")
    expected = mnist_like().load(tmp_path / "direct")
    assert torch.equal(data.train_x, expected.train_x)
    assert torch.equal(data.test_y, expected.test_y)
    assert len(mirror.asked) == 8
    assert sorted(p.name for p in (cache / "tiny").iterdir()) == sorted(
        f"{name}.gz" for name in mnist_files()
    )


def test_cached_files_are_not_fetched_again(mirror, cache: Path) -> None:
    serve_mnist(mirror, "good")
    for _ in range(2):
        mnist_like((f"{mirror.url}good/",)).load(None)
    assert len(mirror.asked) == 4


def test_file_with_a_wrong_checksum_is_passed_over(mirror, cache: Path) -> None:
    serve_mnist(mirror, "bad")
    serve_mnist(mirror, "good")
    name = "train-images-idx3-ubyte"
    altered = bytearray(mnist_files()[name])
    altered[-1] ^= 1
    mirror.contents[f"/bad/{name}.gz"] = gzip.compress(altered)
    mnist_like((f"{mirror.url}bad/", f"{mirror.url}good/")).load(None)
    assert f"/good/{name}.gz" in mirror.asked


def test_wrong_checksum_everywhere_is_refused_and_leaves_nothing(mirror, cache: Path) -> None:
    name = "train-images-idx3-ubyte"
    mirror.contents[f"/bad/{name}.gz"] = gzip.compress(mnist_files()[name] + b"\0")
    with pytest.raises(DataError, match=r"bad/train-images.*complete and unaltered"):
        mnist_like((f"{mirror.url}bad/",)).load(None)
    assert list((cache / "tiny").iterdir()) == []


def test_no_network_names_every_mirror_and_the_hint(cache: Path) -> None:
    mirrors = ("http://127.0.0.1:9/first/", "http://127.0.0.1:9/second/")
    with pytest.raises(DataError) as caught:
        mnist_like(mirrors).load(None)
    message = str(caught.value)
    assert "\n" not in message
    for part in (*mirrors, "ConnectionError", "--data-dir", "HYPERMNESIA_DATA"):
        assert part in message


def test_cache_that_cannot_be_written_is_a_data_error(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"must be writable.*--data-dir"):
        mnist_like(("http://127.0.0.1:9/",)).load(None)


def test_cifar_archive_is_fetched_checked_and_unpacked(mirror, cache: Path, tmp_path: Path) -> None:
    archive = tar_of(
        {f"tiny-cifar-bin/{name}": content for name, content in cifar_files().items()}
        | {"tiny-cifar-bin/readme.html": b"not needed"}
    )
    mirror.contents |= {"/bad.tar.gz": archive[:-1], "/good.tar.gz": archive}
    urls = (f"{mirror.url}bad.tar.gz", f"{mirror.url}good.tar.gz")
    data = cifar_set(mirrors=urls, archive=archive).load(None)
    write_cifar(tmp_path / "direct")
    expected = cifar_set().load(tmp_path / "direct")
    assert torch.equal(data.train_x, expected.train_x)
    left = {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()}
    assert left == {f"tiny-cifar/tiny-cifar-bin/{name}" for name in cifar_files()}
    assert mirror.asked == ["/bad.tar.gz", "/good.tar.gz"]


def test_a_verified_archive_leaves_a_note_that_later_loads_check(
    mirror, cache: Path, tmp_path: Path
) -> None:
    archive = tar_of({f"tiny-cifar-bin/{name}": text for name, text in cifar_files().items()})
    mirror.contents["/set.tar.gz"] = archive
    unknown = cifar_set(mirrors=(f"{mirror.url}set.tar.gz",), archive=archive)
    digests = (unknown.train.digest, unknown.test.digest)
    unknown = replace(unknown, train=replace(unknown.train, digest=None))
    unknown = replace(unknown, test=replace(unknown.test, digest=None))
    folder = cache / "tiny-cifar" / "tiny-cifar-bin"
    (folder).mkdir(parents=True)
    (folder / "test.bin").write_bytes(b"left from elsewhere")
    unknown.load(None)
    assert (folder / NOTE).read_text().split() == list(digests)
    unknown.load(None)
    altered = bytearray((folder / "test.bin").read_bytes())
    altered[-1] ^= 1
    (folder / "test.bin").write_bytes(altered)
    with pytest.raises(DataError, match=rf"other contents than {NOTE} .*delete it"):
        unknown.load(None)
    (folder / NOTE).write_text("half")
    with pytest.raises(DataError, match=rf"{NOTE}: 1; delete it"):
        unknown.load(None)
    (folder / NOTE).unlink()
    unknown.load(None)  # unverified: what is not known cannot be checked


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_link_in_an_archive_is_not_followed(tmp_path: Path, kind: bytes) -> None:
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("set/a.bin")
        info.type, info.linkname = kind, "/etc/hostname"
        tar.addfile(info)
    with pytest.raises(DataError, match=r"set/a\.bin is no plain file"):
        unpack(archive, ["set/a.bin"], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", tar_of({"set/a.bin": b"x" * 9999})[:60]],
    ids=["empty", "text", "cut"],
)
def test_archive_that_is_none_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"archive\.tar\.gz"):
        unpack(archive, ["set/a.bin"], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_only_expected_members_leave_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(tar_of({"../evil": b"x", "/abs": b"x", "set/a.bin": b"right"}))
    unpack(archive, ["set/a.bin"], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.bin"]
    assert not (tmp_path / "evil").exists()
