"""`python -m tf_finetune backbones`: lists the pretrained networks."""

from tf_finetune import front_door
from tf_finetune.backbones import catalog

if __name__ == "__main__":
    front_door.show(catalog.table())
