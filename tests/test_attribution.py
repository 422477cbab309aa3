"""Attributions against arithmetic by hand, nearest images against brute force, the smallest change against its closed form."""

import pytest
import torch
from torch import nn

from core.data.dataset import Split
from core.inspection.explain.attribution import (
    MOST_PATCHES,
    ConvLayer,
    conv_layers,
    grad_cam,
    integrated_gradients,
    occlusion,
    saliency,
    usual_layer,
)
from core.inspection.explain.nearest import LastLinear, nearest_in_features
from core.inspection.explain.scores import ClassScores, ExplanationError
from core.inspection.explain.smallest_change import smallest_change, step_in_box
from core.models import ARCHITECTURES, build


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def linear(outputs: int = 3, shape=(2, 5, 6), mean=(0.25, 0.5), std=(0.5, 2.0)) -> tuple[nn.Module, ClassScores, torch.Tensor]:
    """A linear network, its scores, and its weights as seen from pixels: divided by the deviation (K, C, H, W)."""
    layer = nn.Linear(torch.Size(shape).numel(), outputs)
    weights = layer.weight.detach().view(outputs, *shape) / torch.tensor(std).view(-1, 1, 1)
    model = nn.Sequential(nn.Flatten(), layer)
    return model, ClassScores(model, mean, std), weights


def bent() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, padding=1),
                         nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(5 * 16, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3))


def wavering(image: torch.Tensor) -> ClassScores:
    """A bent network whose scores are 0.05, 0.02 and 0 for this image: every answer is near."""
    model = bent()
    model[6] = nn.Linear(5 * 16, 30)
    model[9] = nn.Linear(30, 3)
    with torch.no_grad():
        model[9].bias.add_(torch.tensor([0.05, 0.02, 0.0]) - ClassScores(model).at(image))
    return ClassScores(model)


# --- pixels


def test_the_saliency_of_a_linear_network_is_its_weights_size():
    _, scores, weights = linear()
    found = saliency(scores, torch.rand(2, 5, 6), 1)
    torch.testing.assert_close(found.values, weights[1].abs())
    torch.testing.assert_close(found.map, weights[1].abs().amax(0))


def test_saliency_is_what_finite_differences_say():
    scores = ClassScores(bent().double().eval())
    scores.forward = lambda images: scores.network(images.double())  # normalize() returns float32, too coarse for differences
    image, step = torch.rand(1, 8, 8), 1e-3
    found = saliency(scores, image, 2).values
    for row, column in ((0, 0), (3, 4), (7, 2)):
        moved = torch.zeros(1, 8, 8).double()
        moved[0, row, column] = step
        rise = scores.at(image + moved)[2] - scores.at(image - moved)[2]
        assert float(found[0, row, column]) == pytest.approx(abs(float(rise)) / (2 * step), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("baseline", [0.0, 0.5])
def test_integrated_gradients_of_a_linear_network_are_weight_times_change(baseline):
    _, scores, weights = linear()
    image = torch.rand(2, 5, 6)
    found = integrated_gradients(scores, image, 0, steps=4, baseline=baseline)
    torch.testing.assert_close(found.values, weights[0] * (image - baseline))
    assert abs(found.error) < 1e-5
    assert found.score - found.baseline_score == pytest.approx(float((weights[0] * (image - baseline)).sum()), abs=1e-5)


def test_integrated_gradients_add_up_and_say_how_nearly():
    scores = ClassScores(bent())
    image = torch.rand(1, 8, 8) * 3
    errors = [integrated_gradients(scores, image, 1, steps=steps) for steps in (1, 200)]
    for found in errors:
        assert found.error == pytest.approx(float(found.values.sum()) - (found.score - found.baseline_score), abs=1e-6)
    rough, fine = errors
    assert abs(fine.error) < abs(rough.error) and abs(fine.error) < 0.01 * abs(fine.score - fine.baseline_score)


def test_occlusion_of_a_linear_network_by_hand():
    _, scores, weights = linear(shape=(2, 4, 4))
    image = torch.rand(2, 4, 4)
    falls = (weights[2] * (image - 0.5)).sum(0)  # (4, 4), what one pixel's covering takes away
    apart = occlusion(scores, image, 2, patch=2, stride=2, baseline=0.5)
    blocks = falls.view(2, 2, 2, 2).sum((1, 3))
    torch.testing.assert_close(apart.map, blocks.repeat_interleave(2, 0).repeat_interleave(2, 1), rtol=1e-4, atol=1e-5)
    assert apart.asked == 4
    over = occlusion(scores, image, 2, patch=2, stride=1, baseline=0.5)
    windows = {(r, c): float(falls[r:r + 2, c:c + 2].sum()) for r in range(3) for c in range(3)}
    assert over.asked == 9
    assert float(over.map[0, 0]) == pytest.approx(windows[0, 0], abs=1e-5)
    assert float(over.map[1, 2]) == pytest.approx(sum(windows[r, c] for r in (0, 1) for c in (1, 2)) / 4, abs=1e-5)


def test_occlusion_does_not_ask_endlessly():
    model = nn.Sequential(nn.AvgPool2d(64), nn.Flatten(), nn.Linear(1, 2))
    found = occlusion(ClassScores(model), torch.rand(1, 64, 64), 0, patch=1, stride=1)
    assert found.asked <= MOST_PATCHES and found.stride == found.patch == 2


def test_grad_cam_by_hand():
    conv, last = nn.Conv2d(1, 3, 3), nn.Linear(3 * 4 * 4, 2)
    model = nn.Sequential(conv, nn.ReLU(inplace=True), nn.Flatten(), last)
    image = torch.rand(1, 6, 6)
    with torch.no_grad():
        maps = conv(image[None])[0]  # (3, 4, 4)
        slope = last.weight[1].view(3, 4, 4) * (maps > 0)  # of the score by each number of the maps
        by_hand = (slope.mean((1, 2))[:, None, None] * maps).sum(0).relu()
    found = grad_cam(ClassScores(model), image, 1)
    assert found.layer == "0" and bool(by_hand.any())
    torch.testing.assert_close(found.maps, by_hand)
    assert found.map.shape == (6, 6) and float(found.values.min()) >= 0


def test_grad_cam_looks_at_the_last_convolution_with_maps():
    resnet = build(ARCHITECTURES["small_resnet"].config(), (1, 28, 28), 10, seed=0)
    names = [layer.name for layer in conv_layers(ClassScores(resnet), (1, 28, 28))]
    assert names[0] == "conv1" and len(names) > 4
    assert "skip" not in usual_layer(conv_layers(ClassScores(resnet), (1, 28, 28))).name
    assert usual_layer([ConvLayer("a", (8, 7, 7)), ConvLayer("b", (8, 2, 2))]).name == "a"
    assert usual_layer([ConvLayer("b", (8, 2, 2))]).name == "b"


def test_shared_layers_have_their_callers_names():
    conv, last = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(36, 36)
    model = nn.Sequential(nn.Sequential(conv), nn.Sequential(nn.ReLU(), conv), nn.Flatten(), nn.Sequential(last),
                          nn.Sequential(nn.ReLU(), last))
    assert [layer.name for layer in conv_layers(ClassScores(model), (1, 6, 6))] == ["0.0", "1.1"]
    assert LastLinear(model, (), (), (1, 6, 6)).layer == "4.1"
    with pytest.raises(ExplanationError, match="no convolution"):
        grad_cam(linear()[1], torch.rand(2, 5, 6), 0)
    with pytest.raises(ExplanationError, match="no convolution nowhere"):
        grad_cam(ClassScores(bent()), torch.rand(1, 8, 8), 0, "nowhere")


def test_one_output_is_two_classes():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    scores, image = ClassScores(model), torch.rand(1, 4, 4)
    no, yes = scores.at(image)
    assert float(yes) == -float(no) == pytest.approx(float(model(image[None]).detach()))
    torch.testing.assert_close(integrated_gradients(scores, image, 0).values, -integrated_gradients(scores, image, 1).values)


# --- nearest


def a_split(count: int = 40, shape=(1, 8, 8)) -> Split:
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    return Split(images, torch.arange(count) % 3, torch.arange(1, count, 2))


@pytest.mark.parametrize("measure", ["cosine", "distance"])
def test_the_nearest_are_those_of_brute_force(measure):
    model, split = bent().eval(), a_split()
    network = LastLinear(model, (0.5,), (0.25,), (1, 8, 8))
    features = network.of_split(split)
    image = torch.rand(1, 8, 8)
    with torch.no_grad():
        wanted = model[:-1]((image[None] - 0.5) / 0.25)[0]
        every = model[:-1]((split.images[split.rows].float() / 255 - 0.5) / 0.25)
    assert network.layer == "9" and features.available == 20
    torch.testing.assert_close(features.values, every, rtol=1e-4, atol=1e-5)
    close = [float(torch.cosine_similarity(row, wanted, 0)) if measure == "cosine" else -float((row - wanted).norm())
             for row in every]
    expected = sorted(range(20), key=lambda place: -close[place])[:5]
    found = nearest_in_features(features, network.features(image[None])[0], 5, measure)
    assert found.positions.tolist() == expected
    assert found.labels.tolist() == split.labels[split.rows[expected]].tolist()
    wanted = torch.tensor([abs(close[place]) for place in expected])
    torch.testing.assert_close(found.closeness.abs(), wanted, rtol=1e-4, atol=1e-5)


def test_only_as_many_images_as_allowed_are_compared():
    split = Split(torch.zeros(40, 1, 8, 8), torch.zeros(40).long(), torch.arange(40))
    features = LastLinear(bent(), (), (), (1, 8, 8)).of_split(split, 4)
    assert features.positions.tolist() == [0, 13, 26, 39] and features.available == 40


def test_a_network_without_a_linear_layer_says_so():
    with pytest.raises(ExplanationError, match="no linear layer"):
        LastLinear(nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten()), (), (), (1, 8, 8))


# --- the smallest change


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_smallest_change_of_a_linear_network_is_its_distance_to_the_border(outputs):
    model, scores, weights = linear(outputs)
    image = torch.full((2, 5, 6), 0.5) + 0.05 * torch.rand(2, 5, 6)
    values = scores.at(image)
    slope = 2 * weights[0] if outputs == 1 else weights[1] - weights[0]
    found = smallest_change(scores, image)
    assert found.found and found.after != found.before == int(values.argmax())
    assert found.l2 == pytest.approx(abs(float(values[1] - values[0])) / float(slope.norm()), rel=1e-3)
    assert int(scores.at(found.image).argmax()) == found.after
    torch.testing.assert_close(found.image, image + found.difference)


def test_a_wanted_answer_is_reached_and_pixels_stay_in_range():
    image = torch.rand(1, 8, 8)
    scores = wavering(image)
    nearest = smallest_change(scores, image)
    assert nearest.before == 0
    for target in (1, 2):
        found = smallest_change(scores, image, target)
        assert found.found and found.after == target == int(scores.at(found.image).argmax())
        assert float(found.image.min()) >= 0 and float(found.image.max()) <= 1
        assert found.l2 >= nearest.l2 * 0.9 and found.largest <= found.l2


def test_no_smaller_change_in_random_directions():
    image = torch.rand(1, 8, 8)
    scores = wavering(image)
    found = smallest_change(scores, image)
    assert found.found
    ways = torch.randn(2000, 1, 8, 8)
    ways *= found.l2 / ways.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    with torch.no_grad():
        assert bool((scores(image + ways).argmax(1) == found.before).all())
        beyond = (image + 0.99 * found.difference)[None]
        assert int(scores(beyond).argmax()) == found.before


def test_what_is_not_found_is_said():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        flat[1].weight.zero_()
        flat[1].bias.copy_(torch.tensor([1.0, 0.0]))
    found = smallest_change(ClassScores(flat), torch.rand(1, 4, 4))
    assert not found.found and found.l2 == 0 and found.before == found.after == 0
    with torch.no_grad():
        flat[1].weight[1].fill_(0.01)  # 16 · 0.01 never outweighs the bias
    found = smallest_change(ClassScores(flat), torch.zeros(1, 4, 4), steps=3)
    assert not found.found and found.steps == 3 and float(found.image.max()) <= 1


def test_a_step_in_a_box_by_hand():
    position, slope = torch.tensor([0.9, 0.5]), torch.tensor([1.0, 1.0])
    torch.testing.assert_close(step_in_box(position, slope, 0.1), torch.tensor([0.05, 0.05]))
    torch.testing.assert_close(step_in_box(position, slope, 0.4), torch.tensor([0.1, 0.3]))  # the first is at its end
    torch.testing.assert_close(step_in_box(position, slope, 9.0), torch.tensor([0.1, 0.5]))
    assert not bool(step_in_box(position, slope, -1.0).any())


# --- what must not happen


def look(model: nn.Module) -> list:
    return [(name, module.training, len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks),
             getattr(module, "inplace", None)) for name, module in model.named_modules()]


def test_the_network_is_left_as_it_was_also_after_errors():
    model = bent()
    model[0].requires_grad_(False)
    model[3].eval()
    model[1].register_forward_hook(lambda *_: None)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before, needs = look(model), [weight.requires_grad for weight in model.parameters()]
    image = torch.rand(1, 8, 8)
    scores = ClassScores(model)
    for method in (saliency, integrated_gradients, grad_cam, occlusion):
        method(scores, image, 1)
    smallest_change(scores, image)
    LastLinear(model, (), (), (1, 8, 8)).features(image[None])

    def fails(*_):
        raise RuntimeError("broken")

    broken = ClassScores(model)
    for method in (saliency, integrated_gradients, grad_cam, occlusion, smallest_change):
        handle = broken.network[9].register_forward_hook(fails)
        with pytest.raises(RuntimeError, match="broken"):
            method(broken, image, *([] if method is smallest_change else [1]))
        handle.remove()
    assert look(model) == before and [weight.requires_grad for weight in model.parameters()] == needs
    assert all(weight.grad is None for weight in model.parameters()) and image.grad is None and not image.requires_grad
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert scores.network[0].weight.data_ptr() == model[0].weight.data_ptr(), "weights are shared, not copied"


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name not in {
    "vgg16", "resnet18",  # seconds each; torchvision's as mobilenet is
    "text_embedding"}])  # reads words, so there are no pixels to ask about
def test_every_architecture_can_be_asked(architecture):
    shape = (3, 64, 64)
    model = build(ARCHITECTURES[architecture].config(), shape, 4, seed=0)
    scores, image = ClassScores(model, (0.5,) * 3, (0.5,) * 3), torch.rand(shape)
    label = int(scores.at(image).argmax())
    maps = [saliency(scores, image, label), integrated_gradients(scores, image, label, 8),
            occlusion(scores, image, label, 32, 32)]
    if conv_layers(scores, shape):
        maps.append(grad_cam(scores, image, label))
    assert all(found.map.shape == (64, 64) and bool(torch.isfinite(found.values).all()) for found in maps)
    assert LastLinear(model, (0.5,) * 3, (0.5,) * 3, shape).features(image[None]).dim() == 2
    found = smallest_change(scores, image)
    assert found.found and int(scores.at(found.image).argmax()) == found.after != label


@pytest.mark.parametrize(("image", "label", "line"), [
    (torch.rand(8, 8), 0, "An image"), (torch.zeros(1, 8, 8, dtype=torch.uint8), 0, "An image"),
    (torch.full((1, 8, 8), float("nan")), 0, "An image"), (torch.rand(1, 8, 8), 3, "no class 3"),
    (torch.rand(1, 8, 8), -1, "no class")])
def test_bad_input_gets_one_line(image, label, line):
    scores = ClassScores(bent())
    for method in (saliency, integrated_gradients, grad_cam, occlusion):
        with pytest.raises(ExplanationError, match=line):
            method(scores, image, label)


@pytest.mark.parametrize(("patch", "stride", "line"), [(0, 1, "does not fit"), (9, 1, "does not fit"), (2, 0, "never covered"),
                                                        (2, 3, "never covered")])
def test_patches_that_make_no_sense(patch, stride, line):
    with pytest.raises(ExplanationError, match=line):
        occlusion(ClassScores(bent()), torch.rand(1, 8, 8), 0, patch, stride)


def test_changes_that_make_no_sense():
    scores, image = ClassScores(bent()), torch.rand(1, 8, 8)
    for target, line in ((int(scores.at(image).argmax()), "already"), (3, "no class 3"), (-1, "no class")):
        with pytest.raises(ExplanationError, match=line):
            smallest_change(scores, image, target)
    with pytest.raises(ExplanationError, match="0 to 1"):
        smallest_change(scores, image + 1)


def test_answers_that_are_no_numbers_get_one_line():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        model[1].bias.fill_(float("inf"))
    with pytest.raises(ExplanationError, match="no numbers"):
        saliency(ClassScores(model), torch.rand(1, 4, 4), 0)
