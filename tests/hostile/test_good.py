"""What the usual tools pack is unpacked as they would."""

import filecmp
import os
import shutil
import subprocess
import zipfile

import pytest


@pytest.fixture
def tree(tmp_path):
    """A folder with something of everything; (folder, entries, bytes)."""
    top = tmp_path / "tree"
    for name in ("bin", "lib/deep/er", "empty", "a" * 120 + "/" + "b" * 120, "ümläut"):
        (top / name).mkdir(parents=True)
    (top / "bin/program").write_bytes(os.urandom(300000))
    (top / "bin/program").chmod(0o755)
    (top / "bin/alias").symlink_to("program")
    (top / "lib/deep/up").symlink_to("../../bin/program")
    (top / "lib/deep/er/zeros").write_bytes(bytes(1 << 20))
    (top / "ümläut/日本語").write_text("text")
    (top / "with space").write_text("")
    (top / ("a" * 120) / ("b" * 120) / ("c" * 120)).write_text("long")
    os.utime(top / "lib/deep", (1e9, 1e9))
    os.utime(top / "with space", (1e9 + 0.25, 1e9 + 0.25))
    return top


def facts(top):
    entries = [p for p in top.rglob("*")]
    return len(entries), sum(p.stat().st_size for p in entries if p.is_file() and not p.is_symlink())


def assert_same(a, b, times=True):
    compared = filecmp.dircmp(a, b)
    assert not compared.left_only and not compared.right_only
    for path in a.rglob("*"):
        other = b / path.relative_to(a)
        assert path.is_symlink() == other.is_symlink() and path.is_dir() == other.is_dir()
        if path.is_symlink():
            assert os.readlink(path) == os.readlink(other)
            continue
        if path.is_file():
            assert path.read_bytes() == other.read_bytes()
        assert path.stat().st_mode == other.stat().st_mode
        if times:
            assert int(path.stat().st_mtime) == int(other.stat().st_mtime)


TARS = {
    "gnu": (["tar", "--format=gnu", "-cf"], "tar"),
    "pax": (["tar", "--format=posix", "-cf"], "tar"),
    "gnu, gzip": (["tar", "-czf"], "tar.gz"),
    "gnu, xz": (["tar", "-cJf"], "tar.xz"),
    "gnu, zstd": (["tar", "--zstd", "-cf"], "tar.zst"),
    "large record": (["tar", "-b", "1024", "-cf"], "tar"),
    "bsd": (["bsdtar", "-cf"], "tar"),
    "bsd, ustar where it can": (["bsdtar", "--format=gnutar", "-cf"], "tar"),
}


@pytest.mark.parametrize("how", TARS)
@pytest.mark.parametrize("seekable", [False, True])
def test_tar(unpack, tree, tmp_path, how, seekable):
    command, archive_format = TARS[how]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    archive = tmp_path / "archive"
    subprocess.run([*command, archive, "-C", tree, "."], check=True)
    result = unpack(archive.read_bytes(), archive_format, *facts(tree), seekable=seekable)
    assert result.counts == facts(tree), result.lines
    assert_same(tree, result.folder)


def test_hard_links(unpack, tree, tmp_path):
    os.link(tree / "bin/program", tree / "lib/copy")
    archive = tmp_path / "archive"
    subprocess.run(["tar", "-cf", archive, "--sort=name", "-C", tree, "."], check=True)
    entries, total = facts(tree)
    result = unpack(archive.read_bytes(), "tar", entries, total - 300000)
    assert result.word == "done", result.lines
    assert_same(tree, result.folder)
    assert os.path.samefile(result.folder / "bin/program", result.folder / "lib/copy")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_python_zip(unpack, tmp_path, method):
    archive = tmp_path / "archive"
    with zipfile.ZipFile(archive, "w", method) as made:
        made.writestr("a/b/text", "text" * 1000)
        made.writestr("ümläut", "x")
        with made.open("large", "w", force_zip64=True) as large:
            large.write(b"y" * 100000)
    result = unpack(archive.read_bytes(), "zip", 5, 104001)
    assert result.counts == (5, 104001), result.lines
    assert (result.folder / "large").read_bytes() == b"y" * 100000
    assert (result.folder / "ümläut").read_text() == "x"


def test_info_zip(unpack, tree, tmp_path):
    archive = tmp_path / "archive.zip"
    subprocess.run(["zip", "-qry", archive, "."], cwd=tree, check=True)
    result = unpack(archive.read_bytes(), "zip", *facts(tree))
    assert result.counts == facts(tree), result.lines
    assert_same(tree, result.folder)


def test_git_archive(unpack, tree, tmp_path):
    shutil.rmtree(tree / "empty")
    git = ["git", "-C", tree, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "tar.umask=022"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    archive = subprocess.run([*git, "archive", "HEAD"], check=True, capture_output=True).stdout
    shutil.rmtree(tree / ".git")
    result = unpack(archive, "tar", *facts(tree))
    assert result.word == "done", result.lines
    assert_same(tree, result.folder, times=False)


def test_nothing_in_it(unpack, tmp_path):
    (tmp_path / "nothing").mkdir()
    archive = subprocess.run(["tar", "-c", "-C", tmp_path / "nothing", "."], check=True, capture_output=True).stdout
    assert unpack(archive, "tar", 0, 0).counts == (0, 0)
