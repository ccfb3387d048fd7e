"""One reader under Atheris: ``python -m fitgap_lab.fuzz.guided READER FOLDER [-option=value ...]``.

FOLDER receives the inputs that reach new code. The options are libFuzzer's, which bounds an
input's time and memory, and ends the process.
"""

import sys
import tempfile
from pathlib import Path

import atheris

# Whose code is followed: packages, whole, that read some reader's bytes in Python.
FOLLOWED = ("fitgap", "h5py", "omegaconf", "optuna", "PIL", "yaml")


def main() -> None:
    """Import under instrumentation, then feed the reader until libFuzzer ends the process."""
    reader, folder, *options = sys.argv[1:]
    with atheris.instrument_imports(include=list(FOLLOWED)):
        from fitgap_lab.fuzz import campaign, packed
        from fitgap_lab.fuzz.examples import VALID
        from fitgap_lab.fuzz.found import FOUND
        from fitgap_lab.fuzz.readers import answer

        answer(reader, VALID[reader])  # what it imports when it is called is followed, too

    def damaged(content: bytes, most: int, seed: int) -> bytes:
        """Damage a file, or a part of what is packed in it, so that its checksums are right."""
        if seed % 3:
            try:
                parts, pack = packed.unpacked(content)
            except packed.NotPackedError:
                pass
            else:
                name = sorted(parts)[seed // 3 % len(parts)]
                whole = pack({**parts, name: atheris.Mutate(parts[name], len(parts[name]) + 256)})
                return whole[:most]
        changed: bytes = atheris.Mutate(content, most)
        return changed

    with tempfile.TemporaryDirectory() as first:
        for number, content in enumerate([VALID[reader], *FOUND.get(reader, [])]):
            if len(content) <= campaign.LARGEST:
                Path(first, str(number)).write_bytes(content)
        atheris.Setup(
            [sys.argv[0], *options, folder, first],
            lambda content: answer(reader, content),
            custom_mutator=damaged,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
