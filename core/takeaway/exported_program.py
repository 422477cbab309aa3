"""A run's network as torch.export writes it: a .pt2 file that torch.export.load() reads, without this project's code."""

import io
import json
import warnings

import torch

from core.errors import reason
from core.takeaway.onnx_writer import TOLERANCE
from core.takeaway.parts import CHECKED, Subject, TakeawayError, about_network, example_inputs, written_network


def exported_program(subject: Subject) -> bytes:
    """A program with any number of examples at once; about.json inside says how to use it.

    Raises TakeawayError: torch.export can't write this network, or the program answers otherwise.
    """
    network, inputs, file = written_network(subject), example_inputs(subject), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(network, (inputs[:2].clone(),), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
            for node in program.graph.nodes:  # where on this machine each line of code stands
                node.meta.pop("stack_trace", None)
            torch.export.save(program, file, extra_files={"about.json": json.dumps(about_network(subject))})
        except Exception as error:  # of many kinds
            raise TakeawayError(f"torch.export can't write this network: {reason(error)[:200]}") from None
        with torch.inference_mode():
            expected, answers = network(inputs), program.module()(inputs)
    apart = float((expected - answers).abs().max())
    if not apart <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise TakeawayError(f"The program is not handed out: on {CHECKED} examples its answers differ from the network's by up "
                            f"to {apart:.2g}.")
    return file.getvalue()
