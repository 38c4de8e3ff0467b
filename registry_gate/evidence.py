"""What was seen: Facts from the confined readers, Staged from the parent, Measurements, Evidence."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from registry_gate.candidate import Candidate, Listing, SeenFacts, Sha256, SnapshotFile
from registry_gate.finding import CheckResult, Scalar
from registry_gate.hashing import BLAKE3, SHA256, AlgorithmName, Hex, is_sha256
from registry_gate.record import Record, is_none
from registry_gate.self_test import RecordedSelfTest


class FirstSeen(Record):
    """What the log knows of a name's first appearance: when, at which entry, and what the hub stated then.

    A fact that the hub did not state at first is the one it stated first.
    """

    at: datetime
    sequence: int
    facts: SeenFacts


class History(Record):
    """First appearances of a model id and of its owner, at one endpoint; None where there was none yet."""

    model: FirstSeen | None = None
    owner: FirstSeen | None = None


class FileFormat(StrEnum):
    """What a file's bytes are, whatever its name says."""

    SAFETENSORS = "safetensors"
    TORCH_ZIP = "torch-zip"
    TORCH_LEGACY = "torch-legacy"
    PICKLE = "pickle"
    JSON = "json"
    TEXT = "text"
    YAML = "yaml"
    SENTENCEPIECE = "sentencepiece"
    IMAGE = "image"
    PYTHON = "python"
    ZIP = "zip"
    UNKNOWN = "unknown"
    EMPTY = "empty"
    TORCHSCRIPT = "torchscript"
    HDF5 = "hdf5"
    ONNX = "onnx"
    GGUF = "gguf"
    NUMPY = "numpy"
    TFLITE = "tflite"
    ARCHIVE = "archive"
    EXECUTABLE = "executable"
    NATIVE_PROTOBUF = "protobuf"


class Problem(Record):
    """Something a reader saw that is not in order. ``code`` is a rule id of a FILES check."""

    code: str
    detail: str
    member: str | None = None
    offset: int | None = None
    field: str | None = None


class GlobalUse(Record):
    """A (module, name) that a pickle would import, and what it would do with it."""

    module: str
    name: str
    use: str = "import"
    offset: int = 0
    member: str | None = None


class PickleFacts(Record):
    """One pickle program: protocol, what it would import, the program as readable lines."""

    member: str | None = None
    protocol: int = 0
    opcodes: int = 0
    globals: tuple[GlobalUse, ...] = ()
    program: tuple[str, ...] = ()
    complete: bool = False


class ScannerFacts(Record):
    """What picklescan said of a file: status complete or error, and the globals it saw with its rating."""

    scanner: str
    status: str
    dangerous: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()
    detail: str = ""


class TensorSource(Record):
    """Where one tensor's bytes lie in a source file.

    ``dtype`` is safetensors' name (``F32``); ``offset`` the absolute byte offset of the first element;
    ``storage`` names the source storage, so equal (storage, offset) means tied; ``stride`` in elements,
    None for C-contiguous. ``byteorder`` of the source is ``little`` or ``big``; staged is little.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    storage: str
    offset: int = Field(ge=0)
    nbytes: int = Field(ge=0)
    stride: tuple[int, ...] | None = None
    byteorder: str = "little"


class ConfigFacts(Record):
    """What a JSON configuration declares. ``references`` are (field, value) that point outside the folder."""

    model_type: str | None = None
    architectures: tuple[str, ...] = ()
    num_labels: int | None = None
    num_channels: int | None = None
    image_size: int | None = None
    auto_map: tuple[str, ...] = ()
    references: tuple[tuple[str, str], ...] = ()


class FileFacts(Record):
    """All that a confined reader states about one file."""

    path: str
    format: FileFormat
    reader: str
    understood: bool
    problems: tuple[Problem, ...] = ()
    pickles: tuple[PickleFacts, ...] = ()
    scanner: ScannerFacts | None = None
    tensors: tuple[TensorSource, ...] = ()
    metadata: dict[str, str] = {}
    config: ConfigFacts | None = None


class SandboxReport(Record):
    """Which confinement held while the readers ran. ``mode`` is ``bubblewrap`` or ``landlock``."""

    mode: str
    guarantees: tuple[str, ...]


class Facts(Record):
    """The answer of the confined readers, validated."""

    files: tuple[FileFacts, ...]
    sandbox: SandboxReport
    seconds: float = 0.0

    def file(self, path: str) -> FileFacts | None:
        """The facts of one path, or None."""
        return next((item for item in self.files if item.path == path), None)


class CopyPlan(Record):
    """How the parent makes one safetensors file out of one source file."""

    source: str
    target: str
    tensors: tuple[TensorSource, ...]
    metadata: dict[str, str] = {}


class WeightSet(Record):
    """The one set of weights a Release carries: its plans, the files carried as they are, those left behind.

    ``problems`` says why no set could be chosen (``code`` is a rule id); ``plans`` is empty then.
    """

    plans: tuple[CopyPlan, ...] = ()
    carried: tuple[str, ...] = ()
    left_behind: tuple[tuple[str, str], ...] = ()
    problems: tuple[Problem, ...] = ()


class StagedFile(Record):
    """A file of the Release-to-be.

    ``chunks`` are digests, by ``algorithm``, of consecutive pieces that end at the bytes ``chunk_ends``,
    aligned to tensors, or where that is empty are ``chunk_size`` long.
    """

    name: str
    size: int
    sha256: Sha256
    chunk_size: int
    chunk_ends: tuple[int, ...] = ()
    algorithm: AlgorithmName = Field(default=SHA256, exclude_if=is_sha256)
    chunks: tuple[Hex, ...]
    source: str
    source_sha256: Sha256


class RowStatistics(Record):
    """The output rows of a weight, one for each index of its first dimension.

    Euclidean norms and means are described by median and median deviation. ``largest`` holds (row, norm)
    of the largest, ``furthest_mean`` the row whose mean lies furthest from the median mean, and how far.
    """

    count: int
    median_norm: float
    norm_spread: float
    largest: tuple[tuple[int, float], ...]
    median_mean: float
    mean_spread: float
    furthest_mean: tuple[int, float]


class TensorMeasurement(Record):
    """One staged tensor: the conversion proof (digests on both sides) and its statistics.

    Both digests are of one algorithm: BLAKE3, or sha256 in what was measured before that was used.
    ``minimum``, ``maximum``, ``mean``, ``std`` are over the finite elements, None where there are none or
    the dtype has no order (complex: of the magnitude). ``nan``, ``inf``, ``zeros`` are element counts.
    ``histogram`` holds (octave, negative, positive): how many finite elements have a magnitude from
    2**octave to below 2**(octave + 1). ``sketch`` are sums in which an element's sign depends on its place;
    ``low_bits`` is 1 where the lowest mantissa bits are spread evenly; ``rows`` is there for final layers.
    """

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    source_sha256: Sha256 | None = Field(default=None, exclude_if=is_none)
    staged_sha256: Sha256 | None = Field(default=None, exclude_if=is_none)
    source_blake3: Hex | None = Field(default=None, exclude_if=is_none)
    staged_blake3: Hex | None = Field(default=None, exclude_if=is_none)
    elements: int
    nan: int
    inf: int
    zeros: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    histogram: tuple[tuple[int, int, int], ...] = ()
    sketch: tuple[float, ...] = ()
    low_bits: float | None = None
    rows: RowStatistics | None = None

    @model_validator(mode="after")
    def _one_pair(self) -> Self:
        old = (self.source_sha256 is not None, self.staged_sha256 is not None)
        new = (self.source_blake3 is not None, self.staged_blake3 is not None)
        if {old, new} != {(True, True), (False, False)}:
            raise ValueError("the digests of a tensor are one pair, of one algorithm")
        return self

    @property
    def source_digest(self) -> str:
        """``algorithm:hex`` of its bytes as the source has them."""
        return _tagged(self.source_sha256, self.source_blake3)

    @property
    def staged_digest(self) -> str:
        """``algorithm:hex`` of its bytes as they were staged."""
        return _tagged(self.staged_sha256, self.staged_blake3)


def _tagged(sha256: str | None, blake3: str | None) -> str:
    return f"{BLAKE3}:{blake3}" if sha256 is None else f"{SHA256}:{sha256}"


class Staged(Record):
    """safetensors and carried files, hashed and measured in the pass that wrote them; not approved yet."""

    root: Path = Field(default=Path(), exclude=True)
    files: tuple[StagedFile, ...]
    tensors: tuple[TensorMeasurement, ...]
    seconds: float = 0.0


class Structure(Record):
    """The staged tensors held against the library class that ``config.json`` selects.

    ``status`` is ``measured``, ``not_applicable`` or ``error``. ``library_class`` is of `transformers`,
    ``task`` comes from that class. Tensor names are the model's own; ``mismatched`` are "name: staged shape,
    class shape" as text.
    """

    status: str
    reason: str = ""
    library_class: str | None = None
    task: str | None = None
    num_labels: int | None = None
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()


class Picture(Record):
    """A small picture of what a test found: ``pixels`` are rows of red, green, blue bytes, as hexadecimal."""

    title: str = Field(max_length=100)
    height: int = Field(gt=0, le=64)
    width: int = Field(gt=0, le=64)
    pixels: str = Field(pattern="^[0-9a-f]*$", max_length=64 * 64 * 6)


class BehaviourMeasurement(Record):
    """One behavioural test. ``status``: ``measured``, ``not_applicable``, ``unavailable`` or ``error``.

    ``statistic`` is the test's own number, ``score`` maps it to [0, 1] (higher is more suspicious),
    ``per_class`` holds one statistic a class, ``samples`` one an input, by the kind of input, where the test
    judges inputs; ``pictures`` show what was found; ``power_note`` says what the test can and cannot see.
    Tests made together share their time evenly.
    """

    test: str
    version: int
    status: str
    reason: str = ""
    statistic: float | None = None
    score: float | None = Field(default=None, ge=0, le=1)
    p_value: float | None = Field(default=None, ge=0, le=1)
    threshold: float | None = None
    suspected_target: int | None = None
    per_class: tuple[float, ...] = ()
    samples: dict[str, tuple[float, ...]] = {}
    details: dict[str, Scalar] = {}
    pictures: tuple[Picture, ...] = Field(default=(), max_length=8)
    seed: int | None = None
    device: str | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    power_note: str = ""


class Behaviour(Record):
    """What the second confined child measured on the staged files."""

    sandbox: SandboxReport
    structure: Structure
    tests: tuple[BehaviourMeasurement, ...] = ()
    seconds: float = 0.0


class PublisherSignature(Record):
    """What the confined reader states of one signature file that came with a model.

    ``status`` is ``signed`` (by ``publisher``, the policy's name for it; ``proven_by`` is the digest of that
    entry of the policy), ``stranger`` (by someone the policy does not expect), ``invalid``, or ``none`` (no
    Model Signing bundle). ``files`` are (name, sha256) as signed, ``ignored`` the paths the signer left out;
    ``code`` says what is wrong.
    """

    path: str
    status: str
    publisher: str | None = None
    proven_by: str | None = None
    method: str | None = None
    signer: str | None = None
    files: tuple[tuple[str, Sha256], ...] = ()
    ignored: tuple[str, ...] = ()
    code: str = ""
    detail: str = ""


class Evidence(Record):
    """The record of one admission: everything the checks and ``decide`` may look at.

    ``out_of_scope`` names the checks that this examination was never meant to make (``scan`` does not ask
    whether a model converts, a bare file has no hub); evidence with anything out of scope is never signed.
    ``refusals`` are steps of the corridor that refused by themselves (bytes that differ from the listing, a
    copy plan out of bounds): their ``code`` is the error's. ``history`` is what the log knew beforehand, None
    where no log was asked. ``self_test`` is the newest that the gate had of itself.
    """

    gate_version: str
    observed_at: datetime
    candidate: Candidate
    registered_name: str
    out_of_scope: tuple[str, ...] = ()
    history: History | None = None
    self_test: RecordedSelfTest | None = Field(default=None, exclude_if=is_none)
    listing: Listing | None = None
    refusals: tuple[Problem, ...] = ()
    snapshot: tuple[SnapshotFile, ...] | None = None
    signatures: tuple[PublisherSignature, ...] | None = None
    facts: Facts | None = None
    weight_set: WeightSet | None = None
    staged: Staged | None = None
    behaviour: Behaviour | None = None
    results: tuple[CheckResult, ...] = ()
