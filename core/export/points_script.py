"""A run on computed points as the 2-D lab shows it: data by formula, network, loop and decision boundary in one short file.

Where script() writes any run as one would, this repeats the run itself: the same points, first weights and order of points, and
so the same losses, in batches of any size.
"""

from collections.abc import Sequence

import torch

from core.config import DataConfig, RunConfig, TrainingConfig
from core.data import FEATURES, outline
from core.data.sources.generated import RULES, TEST_POINTS, split_seeds
from core.export.by_hand_code import AFTER_STEP, BEFORE_STEP, BEGIN, by_hand_code
from core.export.forward import ExportError
from core.export.head_code import with_head
from core.export.model_class import layer_code, model_class
from core.export.points_code import drawing_code
from core.export.script import check_as_run, fixed_code
from core.export.training_code import optimizer_code
from core.models import ACTIVATIONS, MLPConfig, build
from core.training import Intervention, outputs_for
from core.training.step import SEED_FACTOR

# Settings that this script can't say, so they must be at their defaults
LEFT_OUT = ("label_smoothing", "schedule", "gradient_clipping", "initialization", "early_stopping", "keep", "start_from",
            "trainable", "frozen_first", "rate_below_last")
LOSSES = {  # what makes each, what it is given, and what its reader should know
    "cross_entropy": ("nn.CrossEntropyLoss()", "outputs, labels", "takes logits and applies the softmax itself"),
    "nll": ("nn.NLLLoss()", "outputs.log_softmax(1), labels", "takes logarithms of probabilities"),
    "bce_with_logits": ("nn.BCEWithLogitsLoss()", "outputs[:, 0], labels.float()", "takes logits and applies the sigmoid itself"),
    "bce": ("nn.BCELoss()", "outputs[:, 0].sigmoid(), labels.float()", "takes probabilities, from 0 to 1"),
    "mse": ("nn.MSELoss()", "outputs[:, 0].sigmoid(), labels.float()", "here between the probability and 0 or 1"),
    "number": ("nn.MSELoss()", "outputs[:, 0], labels", "between the output and the number itself"),
}


def points_script(config: RunConfig, interventions: Sequence[Intervention] = ()) -> str:
    """The script for a run on one of the computed sets, with what was changed by hand while it trained.

    Raises:
        ExportError: it is no such set, or a setting can't be said. DataError: the config asks for a class that the set does not
        have. ConfigError: the loss does not fit the set. ModelError: the network can't take these points.
    """
    data, shape = config.data, check_as_run(config)
    if data.dataset not in RULES:
        raise ExportError(f"{shape.title} is not computed; script() writes runs on it.")
    for name in LEFT_OUT:
        if getattr(config.training, name) != TrainingConfig.model_fields[name].get_default():
            raise ExportError(f"training.{name} can't be written here; set it to its default.")
    rule = RULES[data.dataset]
    network = _network(config)
    parts = [_constants(config), drawing_code(data.dataset), _data(data), network, _loss(config),
             *([_by_hand(config, interventions)] if interventions else []),
             _loop(config, "ropout" in network, bool(interventions)), _testing(config)]
    text = "\n\n\n".join(part.strip("\n") for part in (*parts, *([_picture(config)] if rule.in_plane else [])))
    return with_head(f"{rule.title}. {rule.summary} In plain PyTorch, with the same points, first weights and losses as the run.",
                     text)


def _constants(config: RunConfig) -> str:
    data, training = config.data, config.training
    return "\n".join([f"POINTS, VALIDATION, NOISE = {data.points}, {data.validation}, {data.noise!r}",
                      f"BATCH_SIZE, EPOCHS, LEARNING_RATE = {training.batch_size}, {training.epochs}, "
                      f"{training.optimizer.learning_rate!r}",
                      *([f"L1 = {training.l1!r}  # the weight of the penalty on the size of all weights"] if training.l1 else []),
                      f"SEED = {training.seed}"])


def _data(data: DataConfig) -> str:
    rule = RULES[data.dataset]
    learn, hold, check = split_seeds(data.split_seed)
    seeds = {"points": ("POINTS", learn), "validation_points": ("VALIDATION", hold), "test_points": (str(TEST_POINTS), check)}
    lines = ["# each set from a seed of its own, so that none changes with another's size"]
    for name, (count, seed) in seeds.items():
        labels = name.replace("points", "labels")
        lines.append(f"{name}, {labels} = {rule.draw.__name__}({count}, NOISE, torch.Generator().manual_seed({seed}))")
    if data.added:
        rows = ", ".join(f"({x!r}, {y!r}, {label})" for x, y, label in data.added)
        lines += [f"added = torch.tensor([{rows}])  # points of one's own: x₁, x₂, class",
                  "points, labels = torch.cat([points, added[:, :2]]), torch.cat([labels, added[:, 2].long()])"]
    if data.task == "is_target":
        lines += [f"{name} = ({name} == {data.target}).long()" for name in ("labels", "validation_labels", "test_labels")]
    return "\n".join(lines) + "\n\n\n" + _inputs(data)


def _inputs(data: DataConfig) -> str:
    """What the network gets to see of a point."""
    computed = RULES[data.dataset].in_plane and data.features != ("x1", "x2")
    columns = ", ".join(FEATURES[name].code for name in data.features)
    body = f"torch.stack([{columns}], dim=1)" if computed else "points"
    if data.normalization == "none":
        return f'def inputs_of(points):\n    """What the network gets to see of each point."""\n    return {body}'
    width = outline(data).input_shape[0]
    numbers = f"mean, std = {fixed_code(data, width, 0)}, {fixed_code(data, width, 1)}" if data.normalization != "standard" else \
        "mean, std = columns_of(points).mean(0), columns_of(points).std(0, correction=0)"
    return (f"def columns_of(points):\n    return {body}\n\n\n{numbers}\n\n\n"
            'def inputs_of(points):\n    """What the network gets to see of each point."""\n'
            "    return (columns_of(points) - mean) / std")


def _network(config: RunConfig) -> str:
    shape = outline(config.data)
    outputs = outputs_for(config, len(shape.source_classes))
    seed = "torch.manual_seed(SEED)\n"
    model = config.model
    if not isinstance(model, MLPConfig):
        text = model_class(model, shape.input_shape, outputs, imports=False).rstrip()
        name = text.rpartition("\nclass ")[2].removeprefix("class ").split("(")[0]
        return f"{text}\n\n\n{seed}model = {name}()"
    layers, width = [], shape.input_shape[0]
    for units in model.hidden:
        dim = "dim=1" if model.activation == "softmax" else ""
        layers += [f"nn.Linear({width}, {units})", f"nn.{ACTIVATIONS[model.activation].__name__}({dim})"]
        layers += [f"nn.Dropout({model.dropout!r})"] if model.dropout else []
        width = units
    layers.append(f"nn.Linear({width}, {outputs})")
    return f"{seed}model = nn.Sequential(\n    " + ",\n    ".join(layers) + ",\n)"


def _loss(config: RunConfig) -> str:
    is_number = outline(config.data).target == "number"
    make, given, about = LOSSES["number" if is_number else config.training.loss]
    return (f"criterion = {make}  # {about}\noptimizer = {optimizer_code(config.training.optimizer)}\n\n\n"
            f'def loss_of(points, labels):\n    """Mean loss of the network on these points."""\n'
            f"    outputs = model(inputs_of(points))\n    return criterion({given})")


def _by_hand(config: RunConfig, interventions: Sequence[Intervention]) -> str:
    """What was changed while it trained."""
    shape, model = outline(config.data), config.model
    with torch.device("meta"):
        network = build(model, shape.input_shape, outputs_for(config, len(shape.source_classes)))

    def layer(path: str) -> str:
        if not isinstance(model, MLPConfig):
            return layer_code(network, path)
        linear = [name for name, module in network.named_modules() if isinstance(module, torch.nn.Linear)]
        return f"model[{linear.index(path) * (3 if model.dropout else 2)}]"  # each is followed by what it goes through

    return by_hand_code(interventions, config.training.schedule, layer)


def _loop(config: RunConfig, dropout: bool, by_hand: bool) -> str:
    penalty = "\n        penalty = L1 * sum(weight.abs().sum() for weight in model.parameters())" if config.training.l1 else ""
    backward = "(loss + penalty).backward()" if penalty else "loss.backward()"
    again = "torch.manual_seed(SEED)  # dropout draws from here on\n" if dropout else ""
    again += f"{BEGIN}\n" if by_hand else ""
    before, after = (f"        {BEFORE_STEP}\n", f"\n        {AFTER_STEP}") if by_hand else ("", "")
    order = ("    # the app gives each epoch's order a seed of its own, so that a run can go on from any of them\n"
             f"    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(SEED * {SEED_FACTOR:_} + epoch))"
             ) if config.training.shuffle else "    order = torch.arange(len(points))"
    return f'''{again}for epoch in range(1, EPOCHS + 1):
    model.train()
{order}
    total = 0.0
    for rows in order.split(BATCH_SIZE):
{before}        loss = loss_of(points[rows], labels[rows]){penalty}
        optimizer.zero_grad()
        {backward}
        optimizer.step()
        total += loss.item() * len(rows){after}
    model.eval()
    with torch.no_grad():
        validation_loss = loss_of(validation_points, validation_labels).item()
    print(f"epoch {{epoch}}: loss {{total / len(points):.6f}}, validation loss {{validation_loss:.6f}}")'''


def _testing(config: RunConfig) -> str:
    """Loss and, for classes, accuracy of points nobody has seen; what the network says of any points is answer_of."""
    shape = outline(config.data)
    one = outputs_for(config, len(shape.source_classes)) == 1
    answer = "model(inputs_of(points))[:, 0]" if shape.target == "number" else \
        "model(inputs_of(points))[:, 0].sigmoid()" if one else "model(inputs_of(points)).softmax(1)[:, 1]"
    what = "The number it predicts" if shape.target == "number" else "How probable it finds the second class, 0 to 1,"
    accuracy = "" if shape.target == "number" else '''
accuracy = ((answer_of(test_points) > 0.5) == test_labels).float().mean().item()
print(f"test accuracy {accuracy:.2%}")'''
    return f'''def answer_of(points):
    """{what} for each point."""
    with torch.no_grad():
        return {answer}


with torch.no_grad():
    print(f"test loss {{loss_of(test_points, test_labels).item():.6f}}")  # once, at the end{accuracy}'''


def _picture(config: RunConfig) -> str:
    what = "what it predicts" if outline(config.data).target == "number" else "the decision boundary is where it is white"
    middle = "" if outline(config.data).target == "number" else ", zmin=0, zmax=1"
    return f'''# the answer for each point of a grid: {what}
axis = torch.linspace(-3, 3, 100)
grid = torch.cartesian_prod(axis, axis)  # (10000, 2); the first coordinate changes slowest
surface = answer_of(grid).view(100, 100).T.numpy()
axis, (x, y), colours = axis.numpy(), points.T.numpy(), labels.numpy()
go.Figure([
    go.Heatmap(x=axis, y=axis, z=surface, colorscale=["#f59322", "#ffffff", "#0877bd"]{middle}),
    go.Scatter(x=x, y=y, mode="markers",
               marker={{"color": colours, "colorscale": ["#f59322", "#0877bd"], "line": {{"color": "white", "width": 1}}}}),
]).write_html("boundary.html", include_plotlyjs="cdn")'''
