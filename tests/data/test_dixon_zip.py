"""A hostile or damaged archive is refused, with its name and the member's, and nothing is written."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from agezoo.data import dixon_zip
from agezoo.data.dixon import read_dixon
from agezoo.data.dixon_source import open_zip
from agezoo.errors import InputError
from dixon_files import DixonLayout, dicom_bytes, scan_datasets, write_zip

LAYOUT = DixonLayout(shape=(12, 10, 4), overlap_slices=1)


@pytest.fixture
def visit(tmp_path: Path) -> Path:
    return write_zip(tmp_path / "visit.zip", scan_datasets(LAYOUT, contrasts=("water",)))


def refused(path: Path, words: str) -> None:
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(InputError, match=words) as caught:
        read_dixon(path)
    assert str(path) in str(caught.value)
    assert sorted(path.parent.rglob("*")) == before


def add(path: Path, name: str | zipfile.ZipInfo, data: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../outside.dcm", r"'\.\./outside\.dcm' has a name that leads out"),
        ("a/../../outside.dcm", "leads out"),
        ("..\\outside.dcm", "leads out"),
        ("/etc/outside.dcm", "has an absolute"),
        ("C:\\outside.dcm", "has an absolute"),
        ("inner.zip", r"member 'inner\.zip' is an archive itself"),
        ("inner.tar.gz", "is an archive itself"),
    ],
)
def test_names_that_lead_elsewhere_or_hide_archives(visit, name, words):
    refused(add(visit, name), words)


def test_links(visit):
    link = zipfile.ZipInfo("link.dcm")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(add(visit, link, b"/etc/passwd"), r"member 'link\.dcm' is a link")


def test_an_encrypted_member(visit):
    add(visit, "locked.dcm")
    data = bytearray(visit.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1
    visit.write_bytes(data)
    refused(visit, r"member 'locked\.dcm' is encrypted")


def test_a_bomb_is_refused_by_its_ratio_before_anything_is_read(tmp_path, monkeypatch):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.dcm", bytes(70 << 20))
    monkeypatch.setattr(dixon_zip.DicomZip, "read", lambda *_: pytest.fail("a member was read"))
    refused(path, r"would unpack to more than a visit can hold; found: 0\.1 MiB that unpack to 70 MiB")


def test_a_bomb_is_refused_by_size_and_number(visit, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(dixon_zip, "MAX_TOTAL_BYTES", 1000)
        refused(visit, "would unpack to more than a visit can hold")
    with monkeypatch.context() as patch:
        patch.setattr(dixon_zip, "MAX_MEMBER_BYTES", 100)
        refused(visit, r"member '\d+\.dcm' is too large")
    monkeypatch.setattr(dixon_zip, "MAX_MEMBERS", 3)
    refused(visit, "has too many members; found: 9; expected: at most 3")


def _directory_entry(data: bytes, name: bytes) -> int:
    """Where a member's entry in the archive's directory begins."""
    at = data.index(b"PK\x01\x02")
    while data[at + 46 : at + 46 + len(name)] != name:
        at = data.index(b"PK\x01\x02", at + 4)
    return at


def test_a_member_that_unpacks_to_more_than_it_declares(visit):
    add(visit, "more.dcm", b"")
    with zipfile.ZipFile(visit, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("liar.dcm", bytes(100_000))
    data = bytearray(visit.read_bytes())
    at = _directory_entry(data, b"liar.dcm")
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    visit.write_bytes(data)
    refused(visit, r"member 'liar\.dcm' is damaged: its checksum or length is wrong")


def test_members_that_share_compressed_bytes(visit):
    add(visit, "first.dcm", bytes(500))
    add(visit, "second.dcm", bytes(500))
    data = bytearray(visit.read_bytes())
    first, second = _directory_entry(data, b"first.dcm"), _directory_entry(data, b"second.dcm")
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    visit.write_bytes(data)
    refused(visit, r"member '(first|second)\.dcm' lies on top of another one")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name(visit):
    refused(add(add(visit, "a.dcm"), "a.dcm"), "holds several members of one name; found: 11 members, 10 names")


def test_a_changed_byte_is_found_by_the_checksum(tmp_path):
    slices = scan_datasets(LAYOUT, contrasts=("water",))
    path = write_zip(tmp_path / "visit.zip", slices, compressed=False)
    data = bytearray(path.read_bytes())
    # The last pixel of the first image.
    at = data.index(dicom_bytes(slices[0])) + len(dicom_bytes(slices[0])) - 1
    data[at] ^= 1
    path.write_bytes(data)
    refused(path, r"member '000000\.dcm' is damaged: its checksum or length is wrong")


@pytest.mark.parametrize("n_bytes", [0, 10, 3000])
def test_a_zip_that_is_none_or_cut_off(visit, n_bytes):
    visit.write_bytes(visit.read_bytes()[:n_bytes])
    refused(visit, "is not a zip file, or cut off")


def test_an_unknown_way_of_packing(visit):
    add(visit, "odd.dcm", bytes(300))
    data = bytearray(visit.read_bytes())
    entry = _directory_entry(data, b"odd.dcm")
    data[entry + 10 : entry + 12] = struct.pack("<H", 97)
    visit.write_bytes(data)
    refused(visit, r"member 'odd\.dcm' is packed by a method that cannot be unpacked")


def test_hidden_files_and_lists_are_not_opened(visit):
    for name in ("__MACOSX/._a.dcm", ".hidden/b.dcm", "notes.txt", "c/"):
        add(visit, name, b"" if name.endswith("/") else b"x")
    with open_zip(visit) as source:
        assert len(source.scan.headers) == 8
        assert source.scan.notes() == ()


def test_control_characters_do_not_reach_the_message(visit):
    with pytest.raises(InputError) as caught:
        read_dixon(add(visit, "../\x1b[31mred\n.dcm"))
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
