"""The inputs of a model beside each other, by name."""

from tf_finetune import registry
from tf_finetune.config import data_options
from tf_finetune.inputs import input_protocol, pictures

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
    # Each makes an input of the options, or None where they name no column.
    made = [INPUTS.get(name)(options) for name in INPUTS.names()]
    found = [each for each in made if each is not None]
    # Pictures come first: the other fields of a request stand beside them.
    return tuple(sorted(found, key=lambda each: each.block != pictures.BLOCK))
