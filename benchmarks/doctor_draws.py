"""Settings that may be sound and mistakes planted in them, drawn at random: what benchmarks.doctor_cases trains and judges.

Nothing here knows a rule of a doctor or a threshold. A base is what somebody might sensibly choose for its data. A mistake
changes one thing of it, by an amount drawn over decades. Whether a base is sound and a mistake one is decided by training both.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.doctor_pictures import CLOTHES, SHAPES

Changes = dict[str, Any]  # dotted fields of a RunConfig, over its defaults
RATES = {"adam": 2e-3, "adamw": 2e-3, "rmsprop": 1e-3, "adagrad": 0.02, "sgd": 0.1}
PICTURES = {"digits", "mnist", CLOTHES, SHAPES}
IN_PLANE = ("circle", "xor", "blobs", "moons", "spirals")
RATE, OPTIMIZER, SCHEDULE = "training.optimizer.learning_rate", "training.optimizer.name", "training.schedule.name"


@dataclass(frozen=True)
class Draw:
    """One case to train. planted: what is wrong with it, in words; "" for a base. cause: its name in MISTAKES. base: its twin's
    number."""

    name: str
    changes: Changes
    base: int
    cause: str = ""
    planted: str = ""


def decades(choose: random.Random, low: float, high: float) -> float:
    """A number drawn evenly over the powers of ten, of two digits."""
    return float(f"{low * (high / low) ** choose.random():.2g}")


# --- bases


def base(choose: random.Random, pictures: bool = False) -> Changes:
    """A setting that somebody might sensibly choose. pictures: on sets of one's own, and with networks of many layers."""
    kind = choose.choices([clothes, shapes, large], [3, 1, 1])[0] if pictures else \
        choose.choices([digits, plane, numbers, texts, mnist], [10, 7, 3, 2, 1])[0]
    changes = kind(choose) | {"training.device": "cpu", "training.precision": "float32", "training.seed": choose.randint(0, 99)}
    return changes | schedule(choose) | extras(choose, changes)


def optimizer(choose: random.Random, factor: float = 1.0) -> Changes:
    name = choose.choice(["adam", "adam", "adamw", "sgd", "sgd", "rmsprop", "adagrad"])
    rate = RATES[name] * factor * decades(choose, 1 / 2, 2)
    changes: Changes = {OPTIMIZER: name}
    if name == "sgd" and choose.random() < 0.5:
        changes["training.optimizer.momentum"] = 0.9
        changes["training.optimizer.nesterov"] = choose.random() < 0.3
        rate /= 5
    return changes | {RATE: float(f"{rate:.2g}")}


def schedule(choose: random.Random) -> Changes:
    name = choose.choice(["constant", "constant", "constant", "cosine", "one_cycle", "warm_up", "step", "plateau"])
    changes: Changes = {SCHEDULE: name}
    if name == "step":
        changes |= {"training.schedule.every": 5, "training.schedule.factor": 0.7}
    return {} if name == "constant" else changes


def extras(choose: random.Random, changes: Changes) -> Changes:
    """What is harmless in measure: a little decay, L1, wide clipping, keeping the best epoch."""
    found: Changes = {}
    if choose.random() < 0.2:
        found["training.optimizer.weight_decay"] = choose.choice([1e-5, 1e-4, 5e-4])
    if choose.random() < 0.1:
        found["training.l1"] = choose.choice([1e-6, 1e-5])
    if choose.random() < 0.2:
        found["training.gradient_clipping"] = choose.choice([1.0, 5.0])
    if choose.random() < 0.1:
        found["training.keep"] = "best"
    if choose.random() < 0.15 and changes.get("training.loss", "cross_entropy") == "cross_entropy":
        found["training.label_smoothing"] = 0.1
    if choose.random() < 0.2 and changes["model.architecture"] in {"mlp", "cnn"}:
        found["training.initialization"] = choose.choice(["xavier_uniform", "kaiming_normal"])
    return found


def digits(choose: random.Random) -> Changes:
    question = choose.random()
    changes: Changes = {"data.dataset": "digits", "data.validation": choose.choice([150, 200, 300]),
                        "data.normalization": choose.choice(["none", "half", "standard"]),
                        "training.loss": choose.choice(["cross_entropy"] * 4 + ["nll"]),
                        "training.batch_size": choose.choice([16, 32, 64, 100]), "training.epochs": choose.choice([10, 15, 20])}
    if question < 0.15:
        changes |= {"data.task": "is_target", "data.target": choose.randint(0, 9), "training.loss": choose.choice(
            ["bce_with_logits", "bce", "cross_entropy"])}
    elif question < 0.25:
        changes |= {"data.only_classes": choose.choice([["0", "1", "2"], ["3", "5", "8"], ["1", "7"]]), "data.validation": 100}
    return changes | choose.choice([mlp, mlp, mlp, cnn, cnn, stack, lenet, resnet, linear_model])(choose, changes)


def mnist(choose: random.Random) -> Changes:
    changes: Changes = {"data.dataset": "mnist", "data.fraction": 0.05, "data.validation": 5000, "training.epochs": 3,
                        "training.batch_size": choose.choice([32, 64])}
    return changes | choose.choice([mlp, cnn])(choose, changes)


def clothes(choose: random.Random) -> Changes:
    """Grey pictures of seven classes that look much like each other."""
    changes: Changes = {"data.dataset": CLOTHES, "data.validation": choose.choice([100, 150, 200]),
                        "data.normalization": choose.choice(["none", "half", "standard"]),
                        "training.batch_size": choose.choice([16, 32, 50]), "training.epochs": choose.choice([10, 15, 20])}
    return changes | choose.choice([mlp, mlp, cnn, cnn, stack, lenet, linear_model])(choose, changes)


def shapes(choose: random.Random) -> Changes:
    """Small pictures in colour: a shape of any colour at any place needs convolutions."""
    changes: Changes = {"data.dataset": SHAPES, "data.validation": 100, "data.normalization": choose.choice(
        ["none", "half", "standard", "imagenet"]), "training.batch_size": 16, "training.epochs": 20}
    found = choose.choice([cnn, cnn, resnet])(choose, changes)
    return changes | found | {"training.epochs": 20} | ({"model.channels": [16, 32]} if "model.kernel" in found else {})


def large(choose: random.Random) -> Changes:
    """Published networks on small pictures, for a few epochs."""
    changes: Changes = {"data.dataset": choose.choice([SHAPES, SHAPES, CLOTHES, "digits"]), "data.validation": 150,
                        "data.normalization": choose.choice(["half", "standard"]), "training.batch_size": choose.choice([16, 32])}
    name = choose.choice(["mobilenet_v3_small", "resnet18", "resnet18", "vgg16"])
    if name == "vgg16":
        if changes["data.dataset"] != SHAPES:
            changes["data.fraction"] = 0.4
        return changes | {"model.architecture": name, "model.batch_norm": choose.random() < 0.8, "model.fc_width": 128,
                          "model.dropout": choose.choice([0.2, 0.5]), "training.epochs": 8,
                          OPTIMIZER: choose.choice(["adam", "adamw"]), RATE: decades(choose, 2e-4, 1e-3)}
    found = {"model.architecture": name, **optimizer(choose, 0.5)}
    if name == "resnet18":
        return changes | found | {"model.stem": "imagenet", "training.epochs": 6}
    return changes | found | {"data.dataset": CLOTHES, "data.fraction": 0.5, "model.stem": "imagenet", "training.epochs": 50}


def mlp(choose: random.Random, changes: Changes) -> Changes:
    depth = choose.choice([1, 1, 2, 2, 3])
    activation = choose.choice(["relu", "relu", "leaky_relu", "gelu", "tanh", "sigmoid" if depth == 1 else "relu"])
    found = {"model.architecture": "mlp", "model.hidden": [choose.choice([30, 50, 100, 128]) for _ in range(depth)],
             "model.activation": activation, **optimizer(choose)}
    if choose.random() < 0.25:
        found["model.dropout"] = choose.choice([0.1, 0.2, 0.3])
    return found


def cnn(choose: random.Random, changes: Changes) -> Changes:
    found = {"model.architecture": "cnn", "model.channels": choose.choice([[8], [8, 16], [6, 12], [16, 16]]),
             "model.kernel": choose.choice([3, 5]), "model.fc_width": choose.choice([0, 32, 64]),
             "model.batch_norm": choose.random() < 0.4, "model.pooling": choose.choice(["max", "max", "average"]),
             "model.dropout": choose.choice([0.0, 0.0, 0.25, 0.5]), **optimizer(choose)}
    return found | {"training.epochs": min(8, changes["training.epochs"]), "training.batch_size": min(
        32, changes["training.batch_size"])}


def layer(kind: str, **settings: Any) -> dict[str, Any]:
    return {"kind": kind, **settings}


def stack(choose: random.Random, changes: Changes) -> Changes:
    act = choose.choice(["relu", "tanh", "gelu", "leaky_relu"])
    layers = choose.choice([
        [layer("flatten"), layer("linear", out_features=64), layer(act), layer("linear", out_features=0)],
        [layer("flatten"), layer("linear", out_features=64, bias=False), layer("batch_norm1d"), layer(act),
         layer("linear", out_features=32), layer(act), layer("linear", out_features=0)],
        [layer("conv2d", out_channels=8), layer(act), layer("max_pool2d"), layer("flatten"), layer("linear", out_features=0)]])
    return {"model.architecture": "stack", "model.layers": layers, **optimizer(choose), "training.epochs": min(
        12, changes["training.epochs"]), "training.batch_size": min(64, changes["training.batch_size"])}


def lenet(choose: random.Random, changes: Changes) -> Changes:
    return {"model.architecture": "lenet5", "model.activation": choose.choice(["tanh", "relu"]), "training.epochs": 8,
            "training.batch_size": 32, **optimizer(choose)}


def resnet(choose: random.Random, changes: Changes) -> Changes:
    return {"model.architecture": "small_resnet", "model.channels": [6, 12], "training.epochs": 8, "training.batch_size": 16,
            **optimizer(choose, 3.0)}


def linear_model(choose: random.Random, changes: Changes) -> Changes:
    return {"model.architecture": "softmax_regression", **optimizer(choose, 1.5)}


def plane(choose: random.Random) -> Changes:
    """Points of two classes, small batches or all at once."""
    name = choose.choice(IN_PLANE)
    batch = choose.choice([10, 20, 50, 200])
    epochs = {10: 40, 20: 60, 50: 120, 200: 300}[batch] * (3 if name == "spirals" else 1)
    hidden = choose.choice([[16], [32], [16, 16], [24, 12]]) if name != "spirals" else choose.choice([[32, 32], [48, 24, 12]])
    changes = {"data.dataset": name, "data.points": choose.choice([200, 300]), "data.validation": 100,
               "model.architecture": "mlp",
               "data.noise": 0.0 if name in {"spirals", "circle"} else choose.choice([0.0, 0.05, 0.1]),
               "model.hidden": hidden, "model.activation": choose.choice(["relu", "tanh", "gelu", "leaky_relu"]),
               "training.loss": choose.choice(["cross_entropy", "bce_with_logits", "bce"]), "training.batch_size": batch,
               "training.epochs": epochs, **optimizer(choose, 4.0)}
    curved = {"circle": ["x1_squared", "x2_squared"], "xor": ["x1_x2", "x1"], "blobs": ["x1", "x2"]}.get(name)
    if curved and choose.random() < 0.25:  # inputs from which a linear model can tell
        changes |= {"data.features": curved, "model.hidden": []}
    return changes


def numbers(choose: random.Random) -> Changes:
    name = choose.choice(["linear", "linear", "hills"])
    changes: Changes = {"data.dataset": name, "data.noise": choose.choice([0.0, 0.1]) if name == "linear" else 0.0,
                        "training.loss": "mse", "data.validation": 100, "model.architecture": "mlp"}
    if name == "linear":
        hidden = choose.choice([[], [], [16]])
        made = optimizer(choose, 0.5 if hidden else 1.0)
        if made[OPTIMIZER] not in {"sgd"}:  # they have to walk to 2, 3 and 4
            made[RATE] = float(f"{made[RATE] * 20:.2g}")
        return changes | {"data.points": 200, "model.hidden": hidden, "training.batch_size": choose.choice([20, 100]),
                          "training.epochs": 100, **made}
    return changes | {"data.points": 800, "model.hidden": choose.choice([[64, 64], [48, 48]]), "training.batch_size": 50,
                      "model.activation": choose.choice(["relu", "tanh", "gelu"]), "training.epochs": 100, OPTIMIZER:
                      choose.choice(["adam", "adamw"]), RATE: decades(choose, 5e-3, 1e-2)}


def texts(choose: random.Random) -> Changes:
    name = choose.choice(["adam", "adamw", "rmsprop", "adagrad"])
    return {"data.dataset": "reviews", "data.validation": 100, "data.vocabulary": 1000, "model.architecture": "text_embedding",
            "model.width": choose.choice([8, 16]), "model.fc_width": 16, "training.loss": choose.choice(
                ["bce_with_logits", "cross_entropy"]), "training.batch_size": 16, "training.epochs": 6,
            OPTIMIZER: name, RATE: RATES[name] * 5}


# --- mistakes: each changes one thing; None where the base has no such thing


Mistake = Callable[[random.Random, Changes], tuple[Changes, str] | None]


def rate_too_high(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    rate = min(100.0, float(f"{given[RATE] * decades(choose, 10, 2000):.2g}"))
    return {RATE: rate}, f"learning rate {rate:g}"


def rate_too_low(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    rate = float(f"{given[RATE] / decades(choose, 50, 100_000):.2g}")
    return {RATE: rate}, f"learning rate {rate:g}"


def weight_decay(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    decay = decades(choose, 0.01, 10)
    return {"training.optimizer.weight_decay": decay}, f"weight decay {decay:g}"


def l1(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    l1 = decades(choose, 1e-3, 10)
    return {"training.l1": l1}, f"L1 {l1:g}"


def clipping(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    norm = decades(choose, 1e-5, 0.1)
    return {"training.gradient_clipping": norm}, f"clipping at {norm:g}"


def label_smoothing(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given.get("training.loss", "cross_entropy") != "cross_entropy":
        return None
    share = choose.choice([0.7, 0.8, 0.9])
    return {"training.label_smoothing": share}, f"label smoothing {share:g}"


def schedule_falls(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    factor = choose.choice([0.001, 0.01, 0.03])
    return {SCHEDULE: "step", "training.schedule.every": 1, "training.schedule.factor": factor}, \
        f"rate times {factor:g} each epoch"


def schedule_waits(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    patience = 0
    return {SCHEDULE: "plateau", "training.schedule.patience": patience, "training.schedule.factor": 0.01}, \
        "rate times 0.01 at the first epoch that is no better"


def momentum(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    share = choose.choice([0.99, 0.995, 0.999])
    match given[OPTIMIZER]:
        case "sgd" | "rmsprop":
            return {"training.optimizer.momentum": share}, f"momentum {share:g}"
        case "adam" | "adamw":
            return {"training.optimizer.beta1": share}, f"β₁ {share:g}"
    return None


def initialization(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["model.architecture"] in {"text_embedding"} or given.get("model.hidden") == []:
        return None
    return {"training.initialization": "zeros"}, "all weights start at 0"


def small_weights(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    """N(0, 0.01) in a network that is deep."""
    if given["model.architecture"] != "mlp" or not given["model.hidden"]:
        return None
    depth = choose.randint(5, 10)
    return {"model.hidden": [given["model.hidden"][0]] * depth, "training.initialization": "normal"}, \
        f"{depth} hidden layers from N(0, 0.01)"


def saturating(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["model.architecture"] != "mlp" or not given["model.hidden"]:
        return None
    depth, name = choose.randint(4, 12), choose.choice(["sigmoid", "sigmoid", "tanh"])
    return {"model.hidden": [given["model.hidden"][0]] * depth, "model.activation": name}, f"{depth} {name} layers"


def too_deep(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["model.architecture"] != "mlp" or not given["model.hidden"]:
        return None
    depth = choose.randint(10, 16)
    return {"model.hidden": [choose.choice([10, 20, 30])] * depth, "model.activation": "relu"}, f"{depth} ReLU layers"


def too_small(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    match given["model.architecture"]:
        case "mlp" if given["model.hidden"]:
            units = choose.randint(1, 2)
            return {"model.hidden": [units]}, f"{units} hidden unit{'s' * (units > 1)}"
        case "cnn":
            return {"model.channels": [1], "model.head": "global_average", "model.fc_width": 0}, "one filter and its mean"
        case "text_embedding":
            return {"model.width": 1, "model.fc_width": 1}, "one number for each word"
    return None


def linear_model_for_curves(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] not in {"circle", "xor", "moons", "spirals", "hills"} or not given["model.hidden"]:
        return None
    if choose.random() < 0.5 and given["data.dataset"] != "hills":
        return {"model.architecture": "softmax_regression"}, "a linear model"
    return {"model.hidden": []}, "no hidden layer"


def no_activation(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["model.architecture"] == "stack":
        acts = {"relu", "tanh", "gelu", "leaky_relu"}
        if given["model.layers"][0]["kind"] == "conv2d":
            return None
        return {"model.layers": [one for one in given["model.layers"] if one["kind"] not in acts]}, "no activations"
    if given["model.architecture"] != "mlp" or not given["model.hidden"]:
        return None
    return {"model.activation": "identity"}, "no activation"


def squashed(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    """A sigmoid, softmax or tanh on the answer."""
    end = choose.choice(["softmax", "sigmoid", "tanh"]) if given["data.dataset"] not in {"linear", "hills"} else \
        choose.choice(["sigmoid", "tanh"])
    if one_output(given) and end == "softmax":
        end = "sigmoid"
    return ended(given, layer(end), f"a {end} on the output")


def relu_on_output(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    return ended(given, layer("relu"), "a ReLU on the output")


def dropout_on_output(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    return ended(given, layer("dropout", share=choose.choice([0.3, 0.5, 0.7])), "dropout on the output")


def one_output(given: Changes) -> bool:
    two = given["data.dataset"] in IN_PLANE or given.get("data.task") == "is_target" or \
        len(given.get("data.only_classes", [])) == 2
    return two and given.get("training.loss") in {"bce", "bce_with_logits", "mse"} or given["data.dataset"] in {"linear", "hills"}


def ended(given: Changes, end: dict[str, Any], what: str) -> tuple[Changes, str] | None:
    """The base's network as a stack, with one more layer at its end."""
    match given["model.architecture"]:
        case "stack":
            return {"model.layers": [*given["model.layers"], end]}, what
        case "mlp":
            layers = [layer("flatten")]
            for units in given["model.hidden"]:
                layers += [layer("linear", out_features=units), layer(given.get("model.activation", "relu"))]
            return {"model.architecture": "stack", "model.layers": [*layers, layer("linear", out_features=0), end]}, what
    return None


def dropout(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    share = choose.choice([0.8, 0.9, 0.95])
    if given["model.architecture"] not in {"mlp", "cnn", "text_embedding"} or given.get("model.hidden") == []:
        return None
    return {"model.dropout": share}, f"dropout {share:g}"


def few_epochs(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] in IN_PLANE or given[OPTIMIZER] == "sgd":
        return {"training.epochs": choose.choice([1, 2])}, "one or two epochs"
    return {"training.epochs": 1, "training.batch_size": choose.choice([256, 512])}, "one epoch of large batches"


def large_batches(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] == "mnist":
        return None
    return {"training.batch_size": 4096, "training.epochs": min(10, given["training.epochs"])}, "all examples in one batch"


def batch_norm_alone(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    """Batch norm with one or two images in a batch."""
    if given["data.dataset"] == "mnist":
        return None
    if given.get("model.batch_norm") or given["model.architecture"] in {"small_resnet", "resnet18", "mobilenet_v3_small"} or any(
            one["kind"].startswith("batch_norm") for one in given.get("model.layers", ())):
        size = choose.choice([1, 1, 2])
        return {"training.batch_size": size, "training.epochs": 1}, f"batch norm with batches of {size}"
    return None


def averages_behind(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    """Too few steps for the running averages of many layers of batch norm, each of which keeps 99 % of what it was."""
    if given["model.architecture"] != "mobilenet_v3_small":
        return None
    epochs = choose.choice([5, 8, 10])
    return {"training.epochs": epochs}, f"{epochs} epochs for 34 layers of batch norm"


def loss_for_numbers(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] not in {"linear", "hills"}:
        return None
    name = choose.choice(["cross_entropy", "bce_with_logits", "nll", "bce"])
    return {"training.loss": name}, f"{name} for a number"


def loss_for_quantities(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] in {"linear", "hills"}:
        return None
    return {"training.loss": "mse", "training.label_smoothing": 0.0}, "mean squared error for classes"


def loss_for_questions(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] not in PICTURES or given.get("data.task") == "is_target" or len(
            given.get("data.only_classes", "all")) < 3:
        return None
    return {"training.loss": choose.choice(["bce_with_logits", "bce"]), "training.label_smoothing": 0.0}, \
        "a yes-no loss for several classes"


def label_noise(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] in {"linear", "hills"}:
        return None
    share = choose.choice([0.3, 0.5, 0.7, 0.9])
    return {"data.label_noise": share}, f"{share:.0%} of the labels wrong"


def imbalance(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] in {"linear", "hills"}:
        return None
    share = choose.choice([0.01, 0.03, 0.1])
    return {"data.imbalance": share}, f"the last class keeps {share:.0%}"


def few_examples(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] in {"linear", "reviews", "hills", *IN_PLANE}:
        return {"data.points": 10}, "10 points" if given["data.dataset"] != "reviews" else ""
    if given["data.dataset"] not in PICTURES - {"mnist"}:
        return None
    share = choose.choice([0.01, 0.02, 0.03])
    return {"data.fraction": share, "training.epochs": 4 * given["training.epochs"]}, f"{share:.0%} of the images"


def transforms(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] not in PICTURES or given.get("data.only_classes"):
        return None
    drowned = [{"kind": "gaussian_noise", "sigma": 2.0}, {"kind": "random_erasing", "p": 1.0, "scale_min": 0.5, "scale_max": 0.9}]
    step = choose.choice(drowned if given["data.dataset"] in {CLOTHES, SHAPES} else [
        {"kind": "random_rotation", "degrees": 180}, {"kind": "random_affine", "degrees": 120, "translate": 0.0},
        {"kind": "random_horizontal_flip", "p": 0.5}, {"kind": "random_resized_crop", "scale_min": 0.08}, *drowned])
    return {"data.transforms": [step]}, f"images through {step['kind']}"


def missing_input(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] not in {*IN_PLANE, "linear", "hills"} - {"blobs"}:
        return None
    return {"data.features": ["x1"]}, "x₂ is not among the inputs"


def noisy_points(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] not in IN_PLANE:
        return None
    return {"data.noise": 1.0}, "points stray by 1.0"


def random_answers(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] not in {"blobs", "moons"} or "data.features" in given:
        return None
    return {"data.dataset": "random_labels", "data.points": 200}, "answers that have nothing to do with the inputs"


def short_texts(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    if given["data.dataset"] != "reviews":
        return None
    return choose.choice([({"data.text_length": 1}, "one word of each text"), ({"data.vocabulary": 3}, "three words are known")])


def early_stopping(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    return {"training.early_stopping": 1}, "stops at the first epoch that is no better"


MISTAKES: dict[str, Mistake] = {mistake.__name__: mistake for mistake in (
    rate_too_high, rate_too_low, weight_decay, l1, clipping, label_smoothing, schedule_falls, schedule_waits, momentum,
    initialization, small_weights, saturating, too_deep, too_small, linear_model_for_curves, no_activation, squashed,
    relu_on_output, dropout_on_output, dropout, few_epochs, large_batches, batch_norm_alone, averages_behind,
    loss_for_numbers, loss_for_quantities, loss_for_questions, label_noise, imbalance, few_examples, transforms, missing_input,
    noisy_points, random_answers, short_texts, early_stopping)}


# --- what looks odd and may do no harm: one setting away from what is usual, by a little. Never among the planted ones


def batches(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    size = choose.choice([4, 8, 128, 256])
    return {"training.batch_size": size}, f"batches of {size}"


def short(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    epochs = max(1, round(given["training.epochs"] * decades(choose, 0.15, 0.6)))
    return {"training.epochs": epochs}, f"{epochs} epochs"


def long(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    epochs = min(1000, given["training.epochs"] * choose.choice([2, 3]))
    return {"training.epochs": epochs}, f"{epochs} epochs"


def other_rate(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    rate = float(f"{given[RATE] * choose.choice([decades(choose, 0.1, 0.5), decades(choose, 2, 10)]):.2g}")
    return {RATE: rate}, f"learning rate {rate:g}"


def much_momentum(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    share = choose.choice([0.5, 0.95, 0.97])
    name = {"sgd": "momentum", "rmsprop": "momentum", "adam": "beta1", "adamw": "beta1"}.get(given[OPTIMIZER])
    return ({f"training.optimizer.{name}": share}, f"{name} {share:g}") if name else None


def regularised(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    """Decay, L1, clipping, dropout or smoothing between what is usual and what is too much."""
    found = [{"training.optimizer.weight_decay": decades(choose, 1e-4, 0.03)}, {"training.l1": decades(choose, 1e-5, 1e-3)},
             {"training.gradient_clipping": decades(choose, 0.05, 20)}]
    if given["model.architecture"] in {"mlp", "cnn", "text_embedding"} and given.get("model.hidden") != []:
        found.append({"model.dropout": choose.choice([0.4, 0.5, 0.6, 0.7])})
    if given.get("training.loss", "cross_entropy") == "cross_entropy":
        found.append({"training.label_smoothing": choose.choice([0.2, 0.3, 0.5])})
    one = choose.choice(found)
    return one, f"{next(iter(one))} {next(iter(one.values())):g}"


def other_schedule(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    found = choose.choice([
        {SCHEDULE: "step", "training.schedule.every": choose.randint(1, 5), "training.schedule.factor":
         choose.choice([0.3, 0.5, 0.8])},
        {SCHEDULE: "plateau", "training.schedule.patience": choose.randint(1, 4)},
        {SCHEDULE: "one_cycle"}, {SCHEDULE: "warm_up"}, {SCHEDULE: "cosine"}])
    return found, f"schedule {found[SCHEDULE]}"


def patience(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    epochs = choose.randint(2, 6)
    return {"training.early_stopping": epochs}, f"stops after {epochs} epochs that are no better"


def other_network(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    """Narrower, deeper, or with another activation."""
    if given["model.architecture"] != "mlp" or not given["model.hidden"]:
        return None
    hidden = choose.choice([[6], [8], [12], [20, 20, 20, 20], [32] * 5, [40] * 6, [64, 32, 16], [200]])
    activation = choose.choice(["relu", "leaky_relu", "gelu", "tanh", "sigmoid"])
    return {"model.hidden": hidden, "model.activation": activation}, f"{hidden} {activation}"


def other_start(choose: random.Random, given: Changes) -> tuple[Changes, str]:
    how = choose.choice(["xavier_uniform", "kaiming_normal", "normal"])
    return {"training.initialization": how}, f"weights from {how}"


def other_data(choose: random.Random, given: Changes) -> tuple[Changes, str] | None:
    """Fewer, noisier or less evenly spread examples."""
    found: list[Changes] = [{"data.validation": choose.choice([40, 60, 250])}]
    if given["data.dataset"] not in {"linear", "hills"}:
        found += [{"data.imbalance": choose.choice([0.15, 0.2, 0.3, 0.5])},
                  {"data.label_noise": choose.choice([0.02, 0.05, 0.1])}]
    if given["data.dataset"] in PICTURES:
        found.append({"data.fraction": choose.choice([0.3, 0.5, 0.7]) * given.get("data.fraction", 1.0)})
        found.append({"data.transforms": [choose.choice([{"kind": "random_rotation", "degrees": 10}, {
            "kind": "gaussian_noise", "sigma": 0.1}, {"kind": "random_affine", "degrees": 10, "translate": 0.05}])]})
    if given["data.dataset"] in {*IN_PLANE, "linear", "hills"}:
        found += [{"data.points": choose.choice([50, 80, 1000])}, {"data.noise": choose.choice([0.05, 0.1, 0.2])}]
    if given["data.dataset"] == "reviews":
        found += [{"data.vocabulary": choose.choice([200, 500, 3000]), "model.words": 3000},
                  {"data.text_length": choose.choice([16, 32, 128])}]
    one = choose.choice(found)
    return one, ", ".join(f"{name} {value}" for name, value in one.items())


ODDITIES: dict[str, Mistake] = {oddity.__name__: oddity for oddity in (
    batches, short, long, other_rate, much_momentum, regularised, other_schedule, patience, other_network, other_start,
    other_data)}


def draws(seed: int, bases: int, each: int, pictures: bool = False, odd: int = 0) -> Iterator[Draw]:
    """Bases with so many mistakes and oddities each; every mistake comes as often as another, where the bases allow it."""
    choose = random.Random(seed)
    used = dict.fromkeys(MISTAKES, 0)
    for number in range(bases):
        given = base(choose, pictures)
        name = f"{seed}{'p' * pictures}-{number:03d}"
        yield Draw(name, given, number)
        planted = 0
        for cause in sorted(MISTAKES, key=lambda cause: (used[cause], choose.random())):
            if planted == each:
                break
            made = MISTAKES[cause](choose, given)
            if made is None:
                continue
            changes, what = made
            used[cause] += 1
            yield Draw(f"{name}-{cause}", laid_over(given, changes), number, cause, what)
            planted += 1
        for cause in choose.sample(sorted(ODDITIES), odd):
            made = ODDITIES[cause](choose, given)
            if made is not None:
                yield Draw(f"{name}-{cause}", laid_over(given, made[0]), number, cause, made[1])


def laid_over(given: Changes, changes: Changes) -> Changes:
    """The base with changes; another architecture or optimizer starts from its own defaults."""
    merged = given | changes
    for part, tag in (("model", "architecture"), ("training.schedule", "name")):
        if changes.get(f"{part}.{tag}", given.get(f"{part}.{tag}")) != given.get(f"{part}.{tag}"):
            merged = {field: value for field, value in merged.items() if not field.startswith(f"{part}.") or field in changes}
    return merged
