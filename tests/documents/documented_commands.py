"""What the documents and flagfiles tell a reader to type, read from them."""

import dataclasses
import functools
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
# What was done, not what to do.
GUIDES = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
FLAGFILES = sorted(ROOT.glob("configs/**/*.flags"))
SHELLS = ("bash", "sh")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROGRAMS = (
    "apt", "apt-get", "bash", "curl", "docker", "jupyter", "pip", "%pip",
    "pytest", "python", "python3", "sh", "source", "srun", "tf-finetune",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Command:
    """A command that a document shows.

    Attributes:
        document: Where it stands, relative to the project.
        words: As the shell takes it apart.
        text: As it is written, on one line.
        environment: Variables that the block sets before it.
        in_a_sentence: Whether it stands there and not in a block.
    """

    document: str
    words: tuple[str, ...]
    text: str
    environment: tuple[tuple[str, str], ...] = ()
    in_a_sentence: bool = False

    def __str__(self) -> str:
        return f"{self.document}: {self.text}"

    @property
    def module(self) -> str:
        """What follows `python -m`, or an empty text."""
        return self.words[2] if self.words[:2] == ("python", "-m") else ""

    @property
    def script(self) -> str:
        """The script of this project that it starts, or an empty text."""
        second = self.words[1]
        return second if second.startswith("scripts/") else ""

    def flag(self, name: str) -> str:
        """Returns the value of a flag, an empty text where it has none."""
        for word in self.words:
            if word.startswith(f"--{name}="):
                return word.partition("=")[2]
        return ""


@functools.cache
def commands() -> tuple[Command, ...]:
    """Returns every command of guides and flagfiles, each once.

    The README's come first, then those of the others by name.
    """
    found = {}
    for path in (ROOT / "README.md", *GUIDES, *FLAGFILES):
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(ROOT))
        read = in_flagfile if path.suffix == ".flags" else in_document
        for each in read(text, name):
            found.setdefault((each.words, each.environment), each)
    return tuple(found.values())


def blocks(text: str, *languages: str) -> list[str]:
    """Returns the fenced blocks of these languages."""
    return [body for name, body in _FENCE.findall(text) if name in languages]


def in_document(text: str, name: str) -> list[Command]:
    """Returns the commands in blocks and sentences of a document."""
    found = []
    for match in _FENCE.finditer(text):
        if match[1] in SHELLS:
            found += [(match.start(), each) for each in _block(match[2], name)]
    spans = _FENCE.sub(lambda match: " " * len(match[0]), text)
    for match in re.finditer(r"`([^`]+)`", spans):
        line = " ".join(match[1].split())
        words = line.split()
        if len(words) > 1 and words[0] in PROGRAMS:
            made = Command(name, _words(line), line, in_a_sentence=True)
            found.append((match.start(), made))
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def in_flagfile(text: str, name: str) -> list[Command]:
    """Returns the commands that a flagfile's comments name."""
    lines = re.findall(r"^# Command: (.*(?:\n#  .*)*)", text, re.MULTILINE)
    joined = [" ".join(line.replace("\n#", " ").split()) for line in lines]
    return [Command(name, _words(line), line) for line in joined]


def python_blocks() -> list[tuple[str, str]]:
    """Returns document and code of each block of Python."""
    return [
        (str(path.relative_to(ROOT)), block)
        for path in GUIDES
        for block in blocks(path.read_text(encoding="utf-8"), "python")
    ]


def asks_a_server(code: str) -> bool:
    """Whether a block of Python needs a server beside it."""
    return "http://127.0.0.1:" in code


def python_spans() -> list[tuple[str, str]]:
    """Returns document and code of each call of the package in a sentence."""
    found = []
    for path in GUIDES:
        spans = _FENCE.sub("", path.read_text(encoding="utf-8"))
        for span in re.findall(r"`([^`]+)`", spans):
            if re.search(r"\b(tff|tf_finetune)\.\w+\(\S", span):
                found.append((str(path.relative_to(ROOT)), span))
    return found


def _block(body: str, name: str) -> list[Command]:
    found, environment, waiting = [], {}, ""
    for line in body.replace("\\\n", " ").splitlines():
        waiting += line + "\n"
        try:
            words = _words(waiting)
        except ValueError:
            continue  # A quotation that the next line ends.
        waiting, text = "", " ".join(waiting.partition("  #")[0].split())
        if words[:1] == ("export",):
            environment.update([words[1].split("=", 1)])
        elif words:
            made = tuple(environment.items())
            found.append(Command(name, words, text, made))
    if waiting:
        raise ValueError(f"{name} has an open quotation: {waiting}")
    return found


def _words(line: str) -> tuple[str, ...]:
    return tuple(shlex.split(line, comments=True))
