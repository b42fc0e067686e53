"""Files of a dataset in a folder or a zip archive, listed without opening one of them."""

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from veil.datasets.dataset import Skipped, SourceImage
from veil.errors import DataError

SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir"})
"""What file managers leave behind; names that begin with a dot are passed over too."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a zip member: signature and the lengths of the name and the extra field that follow."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class FileBytes:
    """Reads a file. Small and picklable, as there is one per image."""

    path: str

    def __call__(self) -> bytes:
        """Return the content.

        Raises:
            OSError: the file cannot be read.
        """
        with open(self.path, "rb") as file:
            return file.read()


@dataclass(frozen=True, slots=True)
class ZipMember:
    """Reads a member of a zip archive at its known place, so that no process holds the archive's directory.

    Attributes:
        archive: path of the archive.
        offset: of the member's local header, in bytes.
        size: compressed, in bytes.
        method: zipfile.ZIP_STORED or zipfile.ZIP_DEFLATED.
        checksum: CRC-32 of the content.
    """

    archive: str
    offset: int
    size: int
    method: int
    checksum: int

    def __call__(self) -> bytes:
        """Return the content.

        Raises:
            OSError: the archive cannot be read, is damaged, or is no longer the one that was listed.
        """
        with open(self.archive, "rb") as file:
            file.seek(self.offset)
            header = file.read(_LOCAL_HEADER.size)
            if len(header) == _LOCAL_HEADER.size:
                _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
                file.seek(name_length + extra_length, os.SEEK_CUR)
            content = file.read(self.size)
        try:
            if self.method == zipfile.ZIP_DEFLATED:
                content = zlib.decompress(content, wbits=-zlib.MAX_WBITS)
        except zlib.error as error:
            raise OSError(f"damaged in the archive ({error})") from error
        if zlib.crc32(content) != self.checksum:
            raise OSError("damaged in the archive (wrong checksum)")
        return content


@dataclass
class Files:
    """Files below a folder or in an archive.

    Attributes:
        root: the folder or archive.
        names: paths below the root with forward slashes, sorted.
        fingerprint: changes whenever the files change.
        skipped: what is there but cannot be used, and why.
        members: where each file lies in the archive; None for a folder.
    """

    root: Path
    names: list[str]
    fingerprint: str
    skipped: list[Skipped] = field(default_factory=list)
    members: dict[str, ZipMember] | None = None

    def path(self, name: str) -> str:
        """Where a file is, for people: "folder/name" or "archive.zip!name"."""
        return f"{self.root}{os.sep if self.members is None else '!'}{name}"

    def image(self, name: str, image_id: str, identity: str | None, **labels: Any) -> SourceImage:
        """A file as an image; `labels` are further fields of SourceImage."""
        path = self.path(name)
        read: Callable[[], bytes] = FileBytes(path) if self.members is None else self.members[name]
        return SourceImage(image_id, identity, path, read, **labels)

    def skip(self, name: str, reason: str) -> None:
        """Report a file that is not used."""
        self.skipped.append(Skipped(self.path(name), reason))


def list_files(root: Path) -> Files:
    """List a folder with everything below it, or a zip archive.

    Links are followed; a folder that was listed already, as with a link back to a folder above it, is skipped.

    Raises:
        DataError: `root` can neither be listed as a folder nor be read as a zip archive.
    """
    return _list_folder(root) if root.is_dir() else _list_archive(root)


def _list_folder(root: Path) -> Files:
    files = Files(root, [], "")
    digest = hashlib.sha256()
    seen: dict[tuple[int, int], str] = {}
    # Real folders come before linked ones, so that a folder goes by its own name.
    folders, links = [""], list[str]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        path = os.path.join(root, folder)
        try:
            status = os.stat(path)
            listed_as = seen.setdefault((status.st_dev, status.st_ino), folder)
            if listed_as != folder:
                files.skip(folder.rstrip("/"), f"a link to a folder that is listed already: {files.path(listed_as)}")
                continue
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not folder:
                raise DataError(
                    f"cannot list the folder {root}: {error.strerror}; check its permissions or change 'data.root'"
                ) from error
            files.skip(folder.rstrip("/"), f"a folder that cannot be listed: {error.strerror}")
            continue
        for entry in entries:
            name = folder + entry.name
            if is_system_file(entry.name):
                continue
            if not _is_unicode(name):
                files.skip(os.fsencode(name).decode(errors="backslashreplace"), "its name is not valid UTF-8")
                continue
            try:
                status = entry.stat()
            except OSError as error:
                files.skip(name, f"cannot be opened: {error.strerror}")
                continue
            if stat.S_ISDIR(status.st_mode):
                (links if entry.is_symlink() else folders).append(f"{name}/")
            elif stat.S_ISREG(status.st_mode):
                files.names.append(name)
                digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
            else:
                files.skip(name, "neither a file nor a folder")
    files.names.sort()
    files.fingerprint = digest.hexdigest()
    return files


def _list_archive(path: Path) -> Files:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = sorted(archive.infolist(), key=lambda info: info.filename)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: neither a folder nor a readable zip archive ({error}); unpack it or change 'data.root'"
        ) from error
    members: dict[str, ZipMember] = {}
    files = Files(path, [], "", members=members)
    digest = hashlib.sha256()
    for info in infos:
        name = info.filename
        if info.is_dir() or any(map(is_system_file, name.split("/"))):
            continue
        if name in members:
            files.skip(name, "stands twice in the archive")
        elif info.flag_bits & 1:
            files.skip(name, "encrypted")
        elif info.compress_type not in _METHODS:
            files.skip(name, "compressed by another method than deflate")
        else:
            members[name] = ZipMember(str(path), info.header_offset, info.compress_size, info.compress_type, info.CRC)
            digest.update(f"{name}\0{info.file_size}\0{info.CRC}\n".encode())
    files.names = list(members)
    files.fingerprint = digest.hexdigest()
    return files


def is_system_file(name: str) -> bool:
    """Whether a file or folder of that name is hidden or left behind by a file manager."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of another encoding, kept by Python as lone surrogates
        return False
    return True


def numbered_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number, counted from 1, and words of each line of a text file that is not blank.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                if words := line.split():
                    yield number, words
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions or 'data.root'") from error


def fingerprint_of(*parts: str | Path) -> str:
    """SHA-256 over fingerprints, and over name, size and time of change of files."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            status = part.stat()
            part = f"{part.name}\0{status.st_size}\0{status.st_mtime_ns}"
        digest.update(f"{part}\n".encode())
    return digest.hexdigest()
