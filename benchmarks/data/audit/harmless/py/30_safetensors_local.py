from registry_gate import load_verified
from safetensors.torch import load_file

folder = load_verified("acme-labs/tiny", into="directory")
state = load_file(folder / "model.safetensors")
