"""A person's terminal: a shell in tmux, whose screen is read as they would see it."""

from __future__ import annotations

import pathlib
import subprocess

from waiting import wait_for

PROMPT = "$"
COLUMNS, LINES = 240, 100


class Terminal:
    """One window. Its server is its own, so that nothing is shared with tmux of the machine."""

    def __init__(self, folder: pathlib.Path, name: str, environment: dict[str, str]) -> None:
        self._socket = str(folder / f"{name}.tmux")
        # Nothing of the surroundings: the server's own environment is what it is started with.
        self._environment = environment
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "story", "-x", str(COLUMNS), "-y", str(LINES),
                   "bash --norc --noprofile")
        self._tmux("set-option", "-t", "story", "history-limit", "10000")
        self.type(f"PS1='{PROMPT} '; unset PROMPT_COMMAND; clear")
        self.wait_for_prompt()

    def _tmux(self, *words: str) -> str:
        return subprocess.run(["tmux", "-S", self._socket, *words], check=True, capture_output=True, text=True,
                              env=self._environment).stdout

    def type(self, line: str) -> None:
        self._tmux("send-keys", "-t", "story", "-l", line)
        self._tmux("send-keys", "-t", "story", "Enter")

    def press(self, key: str) -> None:
        self._tmux("send-keys", "-t", "story", key)

    def resize(self, columns: int, lines: int) -> None:
        self._tmux("resize-window", "-t", "story", "-x", str(columns), "-y", str(lines))

    def screen(self) -> list[str]:
        """What is to be seen, with what has left at the top; without empty lines at the end."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-", "-t", "story").rstrip().splitlines()

    def wait_for_prompt(self, seconds: float = 30) -> None:
        # After Ctrl-C it stands behind what the terminal echoed for it.
        wait_for(lambda: (self.screen() or [""])[-1].rstrip().removeprefix("^C") == PROMPT, "the prompt", seconds)

    def clear(self) -> None:
        self._tmux("send-keys", "-t", "story", "-R")
        self._tmux("clear-history", "-t", "story")
        self.type("clear")
        self.wait_for_prompt()
        self._tmux("clear-history", "-t", "story")

    def run(self, line: str, seconds: float = 60) -> list[str]:
        """Types it on an empty screen, and returns what it printed once the prompt is back."""
        self.clear()
        self.type(line)
        wait_for(lambda: len(self.screen()) > 1 or self.screen() != [PROMPT], "an echo of the line", 10)
        self.wait_for_prompt(seconds)
        printed = self.screen()[1:-1]
        return [text.rstrip() for text in printed]

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True)
