"""Makes the files beside it with the libraries whose formats they are, in an environment of its own:

    python -m venv ENV && ENV/bin/pip install keras tensorflow-cpu onnx gguf joblib scikit-learn coremltools \
        openvino flax
    ENV/bin/python tests/formats/kinds/make_kinds.py FOLDER
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import coremltools
import flax.serialization
import gguf
import joblib
import keras
import numpy as np
import onnx
import openvino
import tensorflow as tf
from coremltools.converters.mil import Builder
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from openvino import opset13
from sklearn.linear_model import LinearRegression


class PlusOne(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([1, 3])])
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return x + 1


def of_tensorflow(folder: Path) -> None:
    for stem, layer in (
        ("model", keras.layers.Dense(2)),
        ("lambda", keras.layers.Lambda(lambda x: x + 1)),
    ):
        model = keras.Sequential([keras.Input((3,)), layer])
        model.save(folder / f"{stem}.keras")
        model.save(folder / f"{stem}.h5")
    module = PlusOne()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()])
    (folder / "model.tflite").write_bytes(converter.convert())
    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(module, saved)
        shutil.copy(Path(saved) / "saved_model.pb", folder)


def of_onnx(folder: Path) -> None:
    ends = [onnx.helper.make_tensor_value_info(name, 1, [2]) for name in "xy"]
    weight = onnx.helper.make_tensor("w", 1, [2], [1, 2])
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    onnx.save(onnx.helper.make_model(graph), folder / "model.onnx")


def of_gguf(folder: Path) -> None:
    writer = gguf.GGUFWriter(str(folder / "model.gguf"), "llama")
    writer.add_block_count(1)
    writer.add_tensor("t", np.ones((2, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def of_joblib(folder: Path) -> None:
    estimator = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    joblib.dump(estimator, folder / "model.joblib")
    joblib.dump(estimator, folder / "compressed.joblib", compress=("zlib", 3))


def of_core_ml(folder: Path) -> None:
    network = NeuralNetworkBuilder([("x", datatypes.Array(3))], [("y", datatypes.Array(2))])
    network.add_inner_product(
        "ip", np.ones((2, 3), np.float32), np.zeros(2, np.float32), 3, 2, True, "x", "y"
    )
    coremltools.models.utils.save_spec(network.spec, str(folder / "model.mlmodel"))

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 3))])
    def program(x: object) -> object:
        return Builder.add(x=x, y=np.ones((1, 3), np.float32))

    with tempfile.TemporaryDirectory() as name:
        package = Path(name) / "model.mlpackage"
        coremltools.convert(program, convert_to="mlprogram", skip_model_load=True).save(str(package))
        shutil.copy(package / "Data/com.apple.CoreML/model.mlmodel", folder / "mlprogram.mlmodel")


def of_openvino(folder: Path) -> None:
    given = opset13.parameter([1, 2], np.float32)
    result = opset13.add(given, opset13.constant(np.ones((1, 2), np.float32)))
    openvino.save_model(openvino.Model([result], [given], "m"), folder / "graph.xml", compress_to_fp16=False)


def of_flax(folder: Path) -> None:
    data = flax.serialization.msgpack_serialize({"w": np.ones(2, np.float32)})
    (folder / "flax_model.msgpack").write_bytes(data)


if __name__ == "__main__":
    for make in (of_tensorflow, of_onnx, of_gguf, of_joblib, of_core_ml, of_openvino, of_flax):
        make(Path(sys.argv[1]))
