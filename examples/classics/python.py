"""Runs the Python program that stands in the comments of an example: python3 examples/classics/python.py NAME."""

import pathlib
import re
import sys

name, *sys.argv = sys.argv[1:]
sys.argv.insert(0, name)
source = pathlib.Path(__file__).with_name(name + ".rs")
lines, is_python = [], False
for line in source.read_text(encoding="utf-8").splitlines():
    comment = re.match(r"//[/!] ?(.*)", line)
    text = comment.group(1) if comment else ""
    if text.startswith("```"):
        is_python = text == "```python"
        text = ""
    lines.append(text if is_python else "")  # each line keeps its number
exec(compile("\n".join(lines), source, "exec"), {"__name__": "__main__"})
