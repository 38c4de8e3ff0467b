"""Repository names: is this id what it says, or a look-alike of one that people trust?

Pure text, no network: owner and name are compared apart with the protected list of the policy, by confusable
skeleton, edit distance, affixes, plural, token order and namespace. What a finding weighs is not said here;
``checks/repo_name.py`` gives each rule its severity.
"""

from __future__ import annotations

from registry_gate.names.assess import NameAssessment, NameMatch, assess
from registry_gate.names.distance import edit_distance
from registry_gate.names.relation import How

__all__ = ["How", "NameAssessment", "NameMatch", "assess", "edit_distance"]
