"""A run's network as an ONNX file, handed out only after onnxruntime has given the network's own answers with it."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import reason
from core.takeaway.parts import CHECKED, Subject, TakeawayError, about_network, example_inputs, output_name, written_network

OPSET = 18
TOLERANCE = 1e-4  # of probabilities; logits may be large, and are held to as much of their own size
NEEDS = ("onnx", "onnxruntime")


def onnx_file(subject: Subject) -> bytes:
    """ONNX with any number of examples at once.

    Raises TakeawayError: ONNX can't hold this network, or onnxruntime answers otherwise.
    """
    network, inputs = written_network(subject), example_inputs(subject)
    names = subject.examples, output_name(subject)
    with _quietly(), torch.inference_mode():
        content = _described(_written(network, inputs[:2], names), about_network(subject))
        expected = network(inputs)
    check(content, inputs, expected)
    return content


def _written(network: nn.Module, inputs: Tensor, names: tuple[str, str]) -> bytes:
    """By PyTorch's first exporter, which takes 0.6 s where the second takes 5; by that one where the first knows no way. For
    networks that read texts, which take whole numbers, it is known to: it would print its whole graph past Python's streams."""
    if not inputs.is_floating_point():
        return _written_by_second(network, inputs, names)
    file: Any = io.BytesIO()  # which this exporter takes too, whatever its stub says
    taken, given = names
    try:
        torch.onnx.export(network, (inputs,), file, input_names=[taken], output_names=[given], opset_version=OPSET,
                          dynamic_axes={taken: {0: "batch"}, given: {0: "batch"}}, dynamo=False)
        return file.getvalue()
    except Exception:  # of many kinds, and in later versions perhaps that there is no such exporter
        return _written_by_second(network, inputs, names)


def _written_by_second(network: nn.Module, inputs: Tensor, names: tuple[str, str]) -> bytes:
    try:
        program = torch.onnx.export(network, (inputs,), input_names=[names[0]], output_names=[names[1]], dynamo=True,
                                    dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), verbose=False)
        assert program is not None
        return program.model_proto.SerializeToString()
    except Exception as error:
        raise TakeawayError(f"ONNX can't hold this network: {reason(error)[:200]}") from None


def _described(content: bytes, about: dict[str, Any]) -> bytes:
    """The same model, checked for form, with how to use it in its metadata. Raises TakeawayError."""
    import onnx

    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, {name: json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
                                        for name, value in about.items()})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise TakeawayError(f"ONNX's own check refuses this network: {reason(error)[:200]}") from None
    return model.SerializeToString()


def check(content: bytes, inputs: Tensor, expected: Tensor) -> None:
    """Ask onnxruntime about the inputs, all at once and one alone. Raises TakeawayError where it answers otherwise."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        answers = torch.from_numpy(session.run(None, {name: inputs.numpy()})[0])
        first = torch.from_numpy(session.run(None, {name: inputs[:1].numpy()})[0])
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise TakeawayError(f"onnxruntime can't run this network: {reason(error)[:200]}") from None
    size = max(1.0, float(expected.abs().max()))
    for mine, its in ((expected, answers), (expected[:1], first)):
        apart = float((mine - its).abs().max()) if mine.shape == its.shape else float("inf")
        if not apart <= TOLERANCE * size:  # NaN is not
            raise TakeawayError(f"The ONNX file is not handed out: on {CHECKED} examples its answers differ from the network's "
                                f"by up to {apart:.2g}.")


@contextmanager
def _quietly() -> Iterator[None]:
    """Exporters warn of what they do by themselves, and print what they could not do. This holds for the whole process."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
