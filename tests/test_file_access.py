"""A file that cannot be read is named, with the reason."""

import os

import pytest

from pullback_core.file_access import open_file, require_file

CONTENT = b"content" * 1000
posix = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")


@pytest.mark.parametrize(
    "name, reason",
    [
        ("none", r"There is no basis file '.*none'\.$"),
        ("file/x", r"There is no basis file '.*x'\.$"),
        ("folder", "that is a folder"),
        ("pipe", "not an ordinary file"),
        ("loop", "links lead in a circle"),
        ("n" * 300, "the name is too long"),
        ("a\0b", "There is no basis file"),
        ("dangling", "There is no basis file"),
    ],
)
def test_what_cannot_be_read_is_named(name, reason, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    for read in (require_file, open_file):
        with pytest.raises(OSError, match=reason) as caught:
            read(tmp_path / name, "basis file")
        assert str(caught.value).endswith(".") and "Errno" not in str(caught.value)


@posix
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(
        PermissionError,
        match=r"^Could not read .*: permission was denied; choose a place that you have access to\.$",
    ):
        open_file(path, "basis file")


@posix
def test_links_to_files_are_read(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    (tmp_path / "link").symlink_to("file")
    with open_file(tmp_path / "link", "basis file") as file:
        assert file.read() == CONTENT
