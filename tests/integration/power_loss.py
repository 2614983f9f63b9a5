"""A disk that forgets what was not synced: a program's calls, recorded by strace, replayed up to any one of them.

The model is as strict as POSIX allows: a file's content lasts from the fsync of the file on, a name from the fsync of
its directory on. What is on a real disk after a power loss lies between `durable` and `current`.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.testbed.parts import program

CALLS = "openat,write,fsync,rename,renameat,renameat2,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fchmod"

_CALL = re.compile(r"\d+ +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)(?P<path><[^>]*>)?.*")
_ARGUMENT = re.compile(r'(?:\w+)?<(?P<folder>[^>]*)>|"(?P<text>[^"]*)"|(?P<word>[\w|]+)')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that went well; each argument is a path of a descriptor, bytes, or a word."""

    name: str
    arguments: tuple[str | bytes, ...]
    is_path: tuple[bool, ...]
    made: str  # the path of the descriptor that came of it


@dataclass(slots=True)
class Node:
    """A file, link or directory; `synced` is what lasts of its content, None before the first sync."""

    kind: str
    mode: int = 0o700
    data: bytes = b""
    entries: "dict[str, Node]" = field(default_factory=dict)
    synced: "bytes | dict[str, Node] | None" = None

    def sync(self) -> None:
        self.synced = dict(self.entries) if self.kind == "directory" else self.data


def recording(log: Path) -> list[str]:
    """What is put before a command so that its calls are written down."""
    return [str(program("strace")), "-f", "-qq", "-y", "-xx", "-s", "1000000", "-o", str(log), "-e", f"trace={CALLS}"]


def calls(log: Path) -> list[Call]:
    return [call for line in log.read_text().splitlines() if (call := _read(line))]


def _read(line: str) -> Call | None:
    found = _CALL.fullmatch(line)
    if found is None or int(found["result"]) < 0:
        return None
    arguments: list[str | bytes] = []
    are_paths: list[bool] = []
    for part in _ARGUMENT.finditer(found["arguments"]):
        if part["folder"] is not None:
            arguments.append(_bytes(part["folder"]).decode())
        else:
            arguments.append(_bytes(part["text"]) if part["text"] is not None else part["word"])
        are_paths.append(part["folder"] is not None)
    made = _bytes(found["path"][1:-1]).decode() if found["path"] else ""
    return Call(found["name"], tuple(arguments), tuple(are_paths), made)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


class Disk:
    """What lies under `root`, all of it synced at first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = _taken(root)

    def apply(self, call: Call) -> bool:
        """Whether that call changed anything here."""
        match call.name:
            case "openat":
                return self._open(call)
            case "write":
                return self._write(call)
            case "fsync" | "fchmod":
                node = self._node(str(call.arguments[0]))
                if node is not None:
                    _sync_or_mode(node, call)
                return node is not None
        return self._entry(call)

    def _open(self, call: Call) -> bool:
        flags = next(str(one) for one in call.arguments if isinstance(one, str) and one.startswith("O_"))
        if "O_CREAT" not in flags or self._node(call.made) is not None:
            return False
        return self._put(call.made, Node("file", int(str(call.arguments[-1]), 8)))

    def _write(self, call: Call) -> bool:
        node = self._node(str(call.arguments[0]))
        if node is None or node.kind != "file":
            return False
        assert isinstance(call.arguments[1], bytes)
        node.data += call.arguments[1]
        return True

    def _entry(self, call: Call) -> bool:
        """Calls on names: relative ones come with the path of their directory before them."""
        paths = list(_names(call))
        if call.name.startswith("symlink"):
            target = next(one for one in call.arguments if isinstance(one, bytes))
            return self._put(paths[-1], Node("link", data=target, synced=target))
        if call.name.startswith("mkdir"):
            return self._put(paths[0], Node("directory", int(str(call.arguments[-1]), 8)))
        node = self._node(paths[0])
        if node is None:
            return False
        self._remove(paths[0])
        if call.name.startswith("rename"):
            self._put(paths[1], node)
        return True

    def _node(self, path: str) -> Node | None:
        node: Node | None = self.top
        for part in self._parts(path) or ():
            node = node.entries.get(part) if node else None
        return node if self._parts(path) is not None else None

    def _parts(self, path: str) -> tuple[str, ...] | None:
        return Path(path).relative_to(self.root).parts if Path(path).is_relative_to(self.root) else None

    def _put(self, path: str, node: Node) -> bool:
        parent = self._node(str(Path(path).parent))
        if parent is not None:
            parent.entries[Path(path).name] = node
        return parent is not None

    def _remove(self, path: str) -> None:
        parent = self._node(str(Path(path).parent))
        assert parent is not None
        del parent.entries[Path(path).name]

    def lose_power(self, *, names_last: bool) -> None:
        """Make the folder what a restart finds: content that was synced, under the names that were synced, or all."""
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        _give(self.top, self.root, names_last=names_last)


def _names(call: Call) -> Iterator[str]:
    folder = ""
    for argument, is_path in zip(call.arguments, call.is_path, strict=True):
        if is_path:
            folder = str(argument)
        elif isinstance(argument, bytes):
            yield str(Path(folder) / argument.decode(errors="surrogateescape"))


def _sync_or_mode(node: Node, call: Call) -> None:
    if call.name == "fsync":
        node.sync()
    else:
        node.mode = int(str(call.arguments[-1]), 8)


def _taken(path: Path) -> Node:
    mode = path.lstat().st_mode & 0o777
    if path.is_symlink():
        return Node("link", data=bytes(path.readlink()), synced=bytes(path.readlink()))
    if path.is_dir():
        node = Node("directory", mode, entries={one.name: _taken(one) for one in path.iterdir()})
    else:
        node = Node("file", mode, path.read_bytes())
    node.sync()
    return node


def _give(node: Node, path: Path, *, names_last: bool) -> None:
    """Modes are kept as they are: of those a follower depends on none."""
    entries = node.entries if names_last else node.synced or {}
    assert isinstance(entries, dict)
    for name, child in entries.items():
        there = path / name
        if child.kind == "directory":
            there.mkdir()
            _give(child, there, names_last=names_last)
        elif child.kind == "link":
            there.symlink_to(child.data.decode())
        else:
            content = child.synced if isinstance(child.synced, bytes) else b""
            there.write_bytes(content)
        if child.kind != "link":
            there.chmod(child.mode)
