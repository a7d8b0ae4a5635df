# SPDX-License-Identifier: Apache-2.0
"""Mechanical mutants of a C file: one small change each, made on the text with comments, strings, asserts and preprocessor
lines masked. What does not compile is no mutant; that is found out by compiling."""
import re

COMPARISONS = {"==": ["!="], "!=": ["=="], "<": ["<=", ">="], ">": [">=", "<="], "<=": ["<", ">"], ">=": [">", "<"]}
LOGIC = {"&&": ["||"], "||": ["&&"]}
ARITHMETIC = {"+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"], "++": ["--"], "--": ["++"], "<<": [">>"],
              ">>": ["<<"], "+=": ["-="], "-=": ["+="], "^=": ["|="], "|=": ["="]}
OPERATORS = {**COMPARISONS, **LOGIC, **ARITHMETIC}
# Longest first; those that are listed and not in OPERATORS are passed over whole.
OPERATOR = re.compile(r"->|<<=|>>=|\+\+|--|<<|>>|==|!=|<=|>=|&&|\|\||\+=|-=|\*=|\^=|\|=|&=|[<>+\-*/%]")
NUMBER = re.compile(r"(?<![\w.])(\d+)([uUlL]*)(?![\w.])")
ENUMERATOR = re.compile(r"^\s*(?:X\()?([A-Z][A-Z0-9_]+)\b", re.M)


class Mutant:
    def __init__(self, start, end, text, what):
        self.start, self.end, self.text, self.what = start, end, text, what


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def masked(source):
    """The same length, the same lines; what is not to be changed is blank."""
    source = re.sub(r"/\*.*?\*/|//[^\n]*", blank, source, flags=re.S)
    source = re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, source)
    source = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, source, flags=re.M)
    return mask_calls(source, "assert")


def close_of(source, at):
    """The place of the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(source)):
        depth += (source[i] in "([{") - (source[i] in ")]}")
        if depth == 0:
            return i
    return len(source) - 1


def mask_calls(source, name):
    for match in reversed(list(re.finditer(r"\b%s\(" % name, source))):
        end = close_of(source, match.end() - 1)
        source = source[:match.start()] + re.sub(r"[^\n]", " ", source[match.start():end + 1]) + source[end + 1:]
    return source


def bodies(source):
    """(start, end, name) of every function's body, and of every table of functions."""
    for match in re.finditer(r"^[a-z][^;{}()]*?(\w+)\([^;{}]*\)\n\{", source, re.M):
        yield match.end() - 1, close_of(source, match.end() - 1), match.group(1)
    for match in re.finditer(r"^static [^;={}]*\(\*const (\w+)\[[^=;{}]*= \{", source, re.M):
        yield match.end() - 1, close_of(source, match.end() - 1), match.group(1)


def operators(source, start, end):
    for match in OPERATOR.finditer(source, start, end):
        sign, before = match.group(0), source[:match.start()].rstrip()[-1:]
        if sign in "+-*" and not (before.isalnum() or before in "_)]"):
            continue  # a sign, or a pointer
        if sign == "*" and re.search(r"(struct \w+|char|void|int|bool|uint8_t|size_t|\w+_t) $", source[:match.start()]):
            continue
        for other in OPERATORS.get(sign, []):
            yield Mutant(match.start(), match.end(), other, "operator")


def conditions(source, start, end):
    for match in re.finditer(r"\b(?:if|while) \(", source[start:end]):
        at = start + match.end() - 1
        close = close_of(source, at)
        yield Mutant(at + 1, close, "!(%s)" % source[at + 1:close], "condition")
    for match in re.finditer(r"(?<=[\s(&|])!(?=[\w(])", source[start:end]):
        yield Mutant(start + match.start(), start + match.end(), "", "negation")
    for match in re.finditer(r"\breturn ([^;]*(?:&&|\|\||[=!<>]=|[<>])[^;]*);", source[start:end]):
        yield Mutant(start + match.start(1), start + match.end(1), "!(%s)" % match.group(1), "condition")


def constants(source, start, end, families):
    for match in NUMBER.finditer(source, start, end):
        for value in (int(match.group(1)) + 1, int(match.group(1)) - 1):
            yield Mutant(match.start(), match.end(), "%d%s" % (value, match.group(2)), "number")
    for match in re.finditer(r"\b(true|false)\b", source[start:end]):
        other = "false" if match.group(1) == "true" else "true"
        yield Mutant(start + match.start(), start + match.end(), other, "constant")
    for match in re.finditer(r"\b[A-Z][A-Z0-9_]{2,}\b", source[start:end]):
        for family in families:
            if match.group(0) in family and not source[start + match.end():].startswith("]"):
                other = family[(family.index(match.group(0)) + 1) % len(family)]
                yield Mutant(start + match.start(), start + match.end(), other, "constant")


def statements(source, start, end):
    """Assignments, calls, jumps: whole lines or more, up to the semicolon. A declaration does not compile without itself."""
    for match in re.finditer(r"(?<=[;{}:)\n])[ \t]*\n?([ \t]+)((?:[\w.\->\[\]*]+(?:[\w.\->\[\]* ]*)?(?:[-+|^&]?=(?!=)|\+\+|--|\()"
                             r"|break|continue|return\b)[^;{}]*;)", source[start:end]):
        text = match.group(2)
        if re.match(r"(if|for|while|switch|else|case|default)\b", text):
            continue
        if re.match(r"(const |static |struct |enum |bool |int|uint|char |size_t )", text):
            continue
        yield Mutant(start + match.start(2), start + match.end(2), ";", "statement")


def cells(source, start, end, ignored):
    for match in re.finditer(r"(?<=[{,\s])([a-z_]\w+)(?=[,}])", source[start:end]):
        other = ignored if match.group(1) != ignored else None
        if other is not None:
            yield Mutant(start + match.start(), start + match.end(), other, "cell")


def enum_families(headers):
    families = []
    for text in headers:
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        for match in re.finditer(r"\benum \w+ \{(.*?)\}", text, re.S):
            names = ENUMERATOR.findall(match.group(1))
            if len(names) > 1:
                families.append(names)
        for match in re.finditer(r"#define \w+_MAP\(X\)(.*?)\n(?=enum|#|\n)", text, re.S):
            names = re.findall(r"X\((\w+)", match.group(1))
            if len(names) > 1:
                families.append(names)
    return families


def mutants_of(source, headers):
    """Every mutant of the file's functions: (mutant, function, line number, line before, line after)."""
    text, families, seen = masked(source), enum_families(headers), set()
    for start, end, name in bodies(text):
        is_table = "(*const " in text[text.rfind("\n", 0, start) + 1:start]
        kinds = [cells(text, start, end, "ignore")] if is_table else [
            operators(text, start, end), conditions(text, start, end), constants(text, start, end, families),
            statements(text, start, end)]
        for kind in kinds:
            for mutant in kind:
                key = (mutant.start, mutant.end, mutant.text)
                if key in seen:
                    continue
                seen.add(key)
                first = source.rfind("\n", 0, mutant.start) + 1
                last = source.find("\n", mutant.end)
                before = " ".join(source[first:last].split())
                after = " ".join((source[first:mutant.start] + mutant.text + source[mutant.end:last]).split())
                yield mutant, name, source.count("\n", 0, mutant.start) + 1, before, after


def applied(source, mutant):
    return source[:mutant.start] + mutant.text + source[mutant.end:]
