"""The hypervisor's console as a stream of bytes: which lines it shows, and what stands at its prompt."""

PROMPT = b"sluice> "
# Sent when another line has to be shown while the prompt is on the screen; prompt and input follow again.
ERASE_LINE = b"\r\x1b[K"


class Console:
    def __init__(self):
        self.unfinished = b""

    def feed(self, data):
        """Takes what came from the machine; returns the lines that it completes, without prompts and echo."""
        *complete, self.unfinished = (self.unfinished + data).split(b"\n")
        lines = [self._shown(line) for line in complete]
        self.unfinished = self._after_erasing(self.unfinished)
        return [line for line in lines if not line.startswith(PROMPT)]

    def at_prompt(self, typed=b""):
        """Whether the prompt is on the screen, with this much behind it."""
        return self.unfinished == PROMPT + typed

    @staticmethod
    def _after_erasing(line):
        return line.rpartition(ERASE_LINE)[2]

    @staticmethod
    def _shown(line):
        return Console._after_erasing(line).rstrip(b"\r")
