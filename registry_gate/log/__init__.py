"""The admission log: what was admitted, refused and registered; append-only, chained and signed."""

from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.entries import DecisionBody, LogEntry, ReceiptBody

__all__ = ["AdmissionLog", "DecisionBody", "LogEntry", "ReceiptBody"]
