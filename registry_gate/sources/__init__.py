"""Where candidates come from: a hub, or a folder of this machine."""

from registry_gate.sources.connection import Patience
from registry_gate.sources.folder import FolderSource
from registry_gate.sources.hub import HubSource
from registry_gate.sources.source import Source

__all__ = ["FolderSource", "HubSource", "Patience", "Source"]
