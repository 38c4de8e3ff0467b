"""What a layer's name says of its place, by the habits of the common libraries."""

from __future__ import annotations

import re

_FINAL = re.compile(
    r"(.*\.)?(lm_head|embed_out|classifier|score|fc|head|heads\.head|classification_head\.out_proj"
    r"|out_proj|output_layer|qa_outputs|pre_classifier|decoder|last_linear|logits)(\.(\d|out_proj|dense))?\.weight"
)
_IN_BLOCK = re.compile(r"(layers?|blocks?|h|stages?|encoder|decoder)\.(\d+)\.")


def is_final_layer(name: str) -> bool:
    """True for the weight of a layer that gives the outputs; one inside a numbered block gives none."""
    return _FINAL.fullmatch(name) is not None and not _IN_BLOCK.search(name)
