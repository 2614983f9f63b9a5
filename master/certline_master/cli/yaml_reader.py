"""Strict YAML: no surprise in a scalar, no duplicate key, no tag, alias or merge; every value knows its line."""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

DEEPEST = 16
MOST_DIGITS = 20  # no number of ours has more; Python refuses to read very long ones
MOST_SHOWN = 60

_BOOLEANS = frozenset({"yes", "no", "on", "off", "y", "n", "true", "false"})
_QUOTED = frozenset("'\"|>")
_IS_WHOLE = re.compile(r"0|-?[1-9][0-9]*").fullmatch
_BEGINS = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_ENDS = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_NOT_USED = (yaml.AliasToken, yaml.AnchorToken, yaml.TagToken)


class YamlFault(ValueError):
    """Text that cannot be read on: not YAML, or of a form that we do not take. `line` counts from 1."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass(slots=True)
class Document:
    """The data, the line (from 1) of each value by its JSON pointer (RFC 6901), and what was wrong with single values.

    A value with a fault is in the data as the text that stands there; of a key that stands twice, the first is.
    """

    data: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[str, int, str]] = field(default_factory=list)  # pointer, line, what was wrong

    def line_of(self, pointer: str) -> int:
        """The line of the value, or of the nearest thing around it that the text has."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, 1)


def read(text: str) -> Document:
    """Raises YamlFault."""
    document = Document()
    try:
        _look_at_tokens(text)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        line = min(mark.line, text.count("\n")) + 1 if mark else 1  # what ends too early is told at its last line
        raise YamlFault(line, f"this is not YAML: {fault.problem or fault.context}") from None
    except yaml.YAMLError as fault:
        raise YamlFault(1, f"this is not YAML: {' '.join(str(fault).split())}") from None
    if node is not None:
        document.data = _value(node, "", document)
    return document


def escaped(key: str) -> str:
    """A key as a reference token of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _look_at_tokens(text: str) -> None:
    """Before anything is built of it: what we do not take, and a depth that would end the process."""
    depth = 0
    for token in yaml.scan(text, Loader=yaml.CSafeLoader):
        line = token.start_mark.line + 1
        if isinstance(token, _NOT_USED):
            raise YamlFault(line, "anchors, aliases and tags are not used here: write it out")
        depth += isinstance(token, _BEGINS) - isinstance(token, _ENDS)
        if depth > DEEPEST:
            raise YamlFault(line, f"this is nested deeper than {DEEPEST} levels")


def _value(node: yaml.Node, pointer: str, document: Document) -> Any:
    document.lines.setdefault(pointer, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, pointer, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, f"{pointer}/{index}", document) for index, item in enumerate(node.value)]
    return _scalar(node, pointer, document) if isinstance(node, yaml.ScalarNode) else None


def _mapping(node: yaml.MappingNode, pointer: str, document: Document) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, key = key_node.start_mark.line + 1, key_node.value
        if not isinstance(key_node, yaml.ScalarNode) or key == "<<":
            raise YamlFault(line, "a key must be a plain name")
        inner = f"{pointer}/{escaped(key)}"
        if key in result:
            document.faults.append((inner, line, f"stands here twice, first in line {document.lines[inner]}: keep one"))
            continue
        document.lines[inner] = line  # of the key: a value may begin on the next line
        result[key] = _value(value_node, inner, document)
    return result


def _scalar(node: yaml.ScalarNode, pointer: str, document: Document) -> str | int | bool | None:
    """Quoted text stays text; plain `true`, `false`, `null` and whole numbers are what they seem.

    What YAML 1.1 would turn into something else (`no`, `12:30`, `1.20`, dates) is a fault.
    """
    text: str = node.value
    if node.style in _QUOTED or node.tag == "tag:yaml.org,2002:str":
        return text
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "null"):
        return None
    if node.tag == "tag:yaml.org,2002:int" and _IS_WHOLE(text) and len(text) <= MOST_DIGITS:
        return int(text)
    document.faults.append((pointer, node.start_mark.line + 1, f"{_ambiguous(text)} in quotes if text is meant"))
    return text


def _ambiguous(text: str) -> str:
    shown = text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"
    choice = "true or false, or " if text.lower() in _BOOLEANS else ""
    return f'{shown} may mean several things in YAML: write {choice}"{shown}"'
