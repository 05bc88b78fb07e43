"""Measurements of candidates, kept in the cache directory and not repeated."""

import hashlib
import json
import pathlib
from typing import Any

from absl import logging

from tf_finetune import files

_FOLDER = "recommendations"
# A measurement has some hundred bytes; a larger file is not one of ours.
_LIMIT_BYTES = 1 << 24


class MeasurementFile:
    """Measurements of one network, by kind and name, in one JSON file.

    The file is `recommendations/HASH.json` in the cache directory, with the
    hash of the facts on which the measurements depend. When two processes write
    at once, one's measurement may be lost, and is made again.

    Args:
        cache_dir: Folder shared between runs.
        facts: Everything that the measurements depend on, such as hash of
            the weights, image size and versions; ready for JSON.
    """

    def __init__(self, cache_dir: pathlib.Path, facts: Any) -> None:
        """Reads the measurements; a missing or damaged file counts as empty."""
        # Other weights, sizes or versions have another file, never a stale one.
        text = json.dumps(facts, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        self._path = cache_dir / _FOLDER / f"{key}.json"
        self._found = self._read()

    def get(self, kind: str, name: str) -> Any | None:
        """Returns a measurement; None if it has not been made.

        Args:
            kind: "network", "latency", "scores" or "fine_tuned".
            name: Name within the kind, such as the device of a latency.
        """
        return self._found.get(kind, {}).get(name)

    def put(self, kind: str, name: str, value: Any) -> None:
        """Adds or replaces a measurement and writes the file at once.

        A file that cannot be written is logged, and the measurement is kept in
        memory.

        Args:
            kind: "network", "latency", "scores" or "fine_tuned".
            name: Name within the kind, such as the device of a latency.
            value: Ready for JSON.
        """
        # Read again: another process may have added to it since.
        kept = self._read()
        self._found = {
            each: kept.get(each, {}) | self._found.get(each, {})
            for each in {**kept, **self._found}
        }
        self._found.setdefault(kind, {})[name] = value
        try:
            files.write_json(self._path, self._found)
        except OSError as error:
            logging.warning("%s cannot be written: %s", self._path, error)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found = files.read_json(
                self._path, limit=_LIMIT_BYTES, within=self._path.parent
            )
            if all(isinstance(each, dict) for each in found.values()):
                return found
            raise ValueError("it holds no measurements")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            logging.warning(
                "%s is ignored and measured again: %s", self._path, error
            )
            return {}
