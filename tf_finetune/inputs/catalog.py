"""The inputs of a model beside each other, by name."""

from tf_finetune import registry
from tf_finetune.config import data_options
from tf_finetune.inputs import input_protocol

# In the order of a model's inputs; each makes an input of the options, or None
# where these name no such column.
_KINDS = ("pictures", "numbers", "words")

INPUTS = registry.Registry(
    "input",
    {
        "pictures": "tf_finetune.inputs.pictures:make_input",
        "numbers": "tf_finetune.inputs.numeric_columns:make_input",
        "words": "tf_finetune.inputs.categorical_columns:make_input",
    },
)


def list_inputs(
    options: data_options.DataOptions,
) -> tuple[input_protocol.Input, ...]:
    """Returns the inputs of a run on rows; empty for single pictures."""
    if not options.takes_rows:
        return ()
    found = (INPUTS.get(kind)(options) for kind in _KINDS)
    return tuple(each for each in found if each is not None)
