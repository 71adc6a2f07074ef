"""The programs that a bash script runs: the words that stand where a command begins."""

from __future__ import annotations

import re
from collections.abc import Iterator

BUILTINS = set(
    ". : [ [[ alias bg bind break builtin caller cd command compgen complete continue declare dirs disown echo enable "
    "eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf pushd "
    "pwd read readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask "
    "unalias unset wait".split())
# After these a command begins.
KEYWORDS = set("if then elif else while until do ! { time".split())
# The command is what follows, or ends the list that follows.
PREFIXES = set("command exec env nice nohup sudo timeout xargs chroot unshare setsid stdbuf builtin".split())
SKIPPED = set("fi done esac } in".split())  # no command of their own

TOKEN = re.compile(
    r"(?P<space>[ \t]+|\\\n)|(?P<comment>#[^\n]*)|(?P<end>\n|;;|;|&&|\|\||\|&?|&(?!>))|(?P<redirect>\d*[<>]&?\d*[->]?|&>)"
    r"|(?P<paren>[()])|(?P<word>(?:\\.|'[^']*'|\$'(?:\\.|[^'])*'|[^\s;&|<>()'\"\\]|\x00)+)", re.DOTALL)


def _inner(text: str, start: int, pair: str = "()") -> int:
    """The index behind the bracket that closes the one before `start`; what is escaped or quoted is not it."""
    depth, at = 1, start
    bracket = re.compile(r"\\.|'[^']*'|[" + re.escape(pair) + "]", re.DOTALL)
    while depth and (found := bracket.search(text, at)):
        depth += {pair[0]: 1, pair[1]: -1}.get(found[0], 0)
        at = found.end()
    return at if not depth else len(text)


def _flat(text: str) -> tuple[str, list[str]]:
    """The text with arithmetic, heredocs, and strings made one harmless word each, and what stood in $( )."""
    nested: list[str] = []
    text = re.sub(r"(?<!<)<<-?'?\"?(\w+)'?\"?([^\n]*)\n.*?\n\s*\1\b", r"\2", text, flags=re.DOTALL)
    out, at, quoted = [], 0, False
    while at < len(text):
        two = text[at:at + 2]
        if text[at] == "\\":
            out.append("\0" if quoted else two)
            at += 2
        elif text[at] == "#" and not quoted and (at == 0 or text[at - 1] in " \t\n;("):
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
        elif text[at] == "'" and not quoted:
            at = text.index("'", at + 1) + 1
            out.append("\0")
        elif text.startswith("$((", at) or (text.startswith("((", at) and not quoted):
            at = _inner(text, text.index("(", at) + 1)
            out.append("\0" if quoted or text[at:at + 1] not in " \n;" else ":")
        elif two in ("$(", "<(", ">(") and (two == "$(" or not quoted):
            end = _inner(text, at + 2)
            nested.append(text[at + 2:end - 1])
            out.append("\0")
            at = end
        elif two == "${":
            end = _inner(text, at + 2, "{}")
            nested += _flat(text[at + 2:end - 1])[1]
            out.append("\0")
            at = end
        elif text[at] == '"':
            quoted = not quoted
            out.append("\0")
            at += 1
        else:
            out.append("\0" if quoted else text[at])
            at += 1
    return "".join(out), nested


def _commands(text: str) -> Iterator[str]:
    flat, nested = _flat(text)
    flat = re.sub(r"=\([^)]*\)", "=\0", flat)  # arrays
    flat = re.sub(r"\[\[ .*? \]\]", ":", flat, flags=re.DOTALL)
    begins, prefixed, redirected, cases = True, False, False, 0
    tokens = [token for token in TOKEN.finditer(flat) if token.lastgroup not in ("space", "comment")]
    for index, token in enumerate(tokens):
        if token.lastgroup in ("end", "paren"):
            begins, prefixed = True, False
            continue
        if token.lastgroup == "redirect":
            redirected = not re.search(r"&\d", token[0])
            continue
        word = token[0]
        if redirected:
            redirected = False
            continue
        cases += {"case": 1, "esac": -1}.get(word, 0) if begins else 0
        after = tokens[index + 1][0] if index + 1 < len(tokens) else ""
        pattern = cases > 0 and after in (")", "|") and index and tokens[index - 1][0] in ("in", ";;", "|", "\n")
        if not begins or pattern:
            continue
        if re.match(r"\w+\+?=", word) or word in KEYWORDS or (
                prefixed and (word.startswith("-") or word.isdigit() or "\0" in word)):
            continue
        begins = word in PREFIXES
        prefixed = prefixed or begins
        if word in ("for", "case", "select", "function") or word in SKIPPED:
            continue
        if re.fullmatch(r"[\w.+-]+", word):
            yield word
    for inner in nested:
        yield from _commands(inner)


def of_script(text: str) -> set[str]:
    """Without builtins, functions of the script, and programs named by a path or a variable."""
    functions = set(re.findall(r"^\s*(?:function\s+)?([\w-]+)\s*\(\)", text, re.MULTILINE))
    return set(_commands(text)) - BUILTINS - functions


def of_makefile(text: str) -> set[str]:
    """Those of its recipes and of its $(shell ...)."""
    lines = [line[1:].lstrip("@-+") for line in text.splitlines() if line.startswith("\t")]
    lines += re.findall(r"\$\(shell ([^)]*)\)", text)
    lines += re.findall(r"^\w+ = (git .*)$", text, re.MULTILINE)
    plain = re.sub(r"\$\(\w+\)|\$\$", "\0", "\n".join(lines))
    return set(_commands(plain)) - BUILTINS
