"""`python -m tf_finetune backbones`: lists the pretrained networks."""

from tf_finetune import printing
from tf_finetune.backbones import catalog

if __name__ == "__main__":
    printing.prepare()
    printing.show(catalog.table())
