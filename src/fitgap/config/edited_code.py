"""Detect own code that was edited after its import: this process still runs the old code."""

import contextlib
import sys
from collections.abc import Mapping

from fitgap.config.fingerprints import fingerprint
from fitgap.config.modules import module_file, module_name
from fitgap.errors import RequestError

# Files of own code that this process looked at; and, of each module that it imported, which import
# that was and what the file did then. An import anew (`importlib.reload`) has another spec.
_looked_at: set[str] = set()
_imported: dict[str, tuple[object, str]] = {}


def remember_imported() -> None:
    """Remember the fingerprint of each checked file whose module this process has now imported."""
    for module in map(module_name, _looked_at):
        spec = getattr(sys.modules.get(module), "__spec__", None)
        path = module_file(module) if spec is not None else None
        if path is not None and _imported.get(module, (None, ""))[0] is not spec:
            with contextlib.suppress(OSError, ValueError, SyntaxError):  # edited this moment
                _imported[module] = spec, fingerprint(path.read_text(encoding="utf-8"))


def refuse(texts: Mapping[str, str]) -> None:
    """Refuse a file that was edited after this process imported it.

    Parameters
    ----------
    texts
        Source by file, as in `fitgap.config.own_code.OwnCode`; the files are checked from now on.

    Raises
    ------
    RequestError
        Naming the file that was edited.
    """
    _looked_at.update(texts)
    for file, text in texts.items():
        module = module_name(file)
        spec = getattr(sys.modules.get(module), "__spec__", None)
        known, then = _imported.get(module, (None, ""))
        if spec is not None and known is spec and fingerprint(text) != then:
            raise RequestError(
                f"{file} was edited after this process imported it, and Python would still use "
                "the old code",
                f"Restart the process, or call importlib.reload({module}) first",
            )
