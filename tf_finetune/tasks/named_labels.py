"""Labels of pictures that are names: of one class, or of several labels."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

from tf_finetune.config import data_options
from tf_finetune.data import class_names, examples, label_protocol


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedLabels(label_protocol.Labels):
    """Labels of pictures that name the outputs of the model.

    Attributes:
        known: The names that a finished run learned; empty for training.
    """

    known: tuple[str, ...] = ()

    @abc.abstractmethod
    def list_names(self, label: examples.Label) -> tuple[str, ...]:
        """Returns the names in a label."""

    @abc.abstractmethod
    def respell(
        self, label: examples.Label, spelled: Mapping[str, str]
    ) -> examples.Label:
        """Returns a label with its names replaced by those in `spelled`."""

    def merge_spellings(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> examples.Listing:
        """Merges names that are equal numbers, such as 1 and 1.0."""
        spelled = class_names.merge_equal_numbers(
            {*self._list_present(listing), *listing.class_names}, self.known
        )
        if not spelled:
            return listing
        class_names.log_merged(spelled)
        return dataclasses.replace(
            listing,
            examples=tuple(
                dataclasses.replace(
                    each, label=self.respell(each.label, spelled)
                )
                for each in listing.examples
            ),
            class_names=tuple(
                dict.fromkeys(spelled.get(n, n) for n in listing.class_names)
            ),
        )

    def restore(self, described: Mapping[str, Any]) -> "NamedLabels":
        """Returns labels that know the names of a finished run."""
        return dataclasses.replace(
            self, known=tuple(described.get("class_names", ()))
        )

    def _list_present(self, listing: examples.Listing) -> set[str]:
        return {
            name
            for each in listing.examples
            for name in self.list_names(each.label)
        }
