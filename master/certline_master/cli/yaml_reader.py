"""Strict YAML: no surprise in a scalar, no duplicate key, no tag, alias or merge; every value knows its line."""

from dataclasses import dataclass, field
from typing import Any

import yaml

QUOTED = frozenset("'\"|>")


class YamlFault(ValueError):
    """Text that is not the YAML we take; the message starts with the line."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(f"{line}: {text}")
        self.line = line


@dataclass(slots=True)
class Document:
    """The data, and the line (from 1) of each value by its JSON pointer (RFC 6901)."""

    data: Any
    lines: dict[str, int] = field(default_factory=dict)

    def line_of(self, pointer: str) -> int:
        """The line of the value, or of the nearest thing around it that the text has."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, 1)


def read(text: str) -> Document:
    """Raises YamlFault."""
    try:
        for token in yaml.scan(text, Loader=yaml.CSafeLoader):
            if isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken):
                raise YamlFault(token.start_mark.line + 1, "anchors, aliases and tags are not used here; write it out")
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        raise YamlFault(mark.line + 1 if mark else 1, f"not YAML: {fault.problem or fault.context}") from fault
    except yaml.YAMLError as fault:
        raise YamlFault(1, f"not YAML: {fault}") from fault
    document = Document(None)
    if node is not None:
        document.data = _value(node, "", document.lines)
    return document


def escaped(key: str) -> str:
    """A key as a reference token of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _value(node: yaml.Node, pointer: str, lines: dict[str, int]) -> Any:
    lines[pointer] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, pointer, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, f"{pointer}/{index}", lines) for index, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, pointer: str, lines: dict[str, int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value
        if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key, str) or key == "<<":
            raise YamlFault(line, "a key must be a plain name")
        if key in result:
            raise YamlFault(line, f"the key {key!r} stands here twice; keep one")
        inner = f"{pointer}/{escaped(key)}"
        result[key] = _value(value_node, inner, lines)
        lines[inner] = line
    return result


def _scalar(node: yaml.Node) -> str | int | bool | None:
    """Quoted text stays text; plain `true`, `false`, `null` and whole numbers are what they seem; what YAML 1.1 would
    turn into
    something else (`no`, `12:30`, `1.20`, dates) is an error."""
    text: str = node.value
    if not isinstance(node, yaml.ScalarNode) or node.style in QUOTED or node.tag == "tag:yaml.org,2002:str":
        return text
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "null"):
        return None
    if node.tag == "tag:yaml.org,2002:int" and text.isdecimal() and (text == "0" or not text.startswith("0")):
        return int(text)
    raise YamlFault(node.start_mark.line + 1, f'{text} may mean several things in YAML; write "{text}" in quotes')
