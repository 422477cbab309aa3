"""Each transform against torchvision's own with the same random numbers; what is drawn; the fast way against the slow one."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.config import DataConfig
from core.data import DataError, Dataset, Split, load, outline
from core.data.batches import VARIED_CHUNK, Batches
from core.fields import ConfigError
from core.torchvision_guard import torchvision
from core.transforms import (
    TRANSFORMS,
    AffineDraw,
    BoxDraw,
    FlipDraw,
    GaussianNoiseConfig,
    NormalizeConfig,
    RandomAffineConfig,
    RandomErasingConfig,
    RandomHorizontalFlipConfig,
    RandomResizedCropConfig,
    RandomRotationConfig,
    ResizeConfig,
    ToTensorConfig,
    TransformConfig,
    Workspace,
    apply_step,
    augment,
    draw,
    fixed_sizes,
    generator_for,
    shape_after,
    walk,
    with_normalizes,
    with_to_tensor,
    without_chance,
    words,
)
from tests.helpers import tiny

V2 = torchvision.transforms.v2
F = V2.functional
BILINEAR = V2.InterpolationMode.BILINEAR
CPU = torch.device("cpu")
FLOAT_TOLERANCE = 2e-5  # of values from 0 to 1: both compute in float32, in another order
SHAPES = [(1, 28, 28), (3, 20, 33)]
AFFINE = RandomAffineConfig(degrees=60, translate=0.3, scale_min=0.5, scale_max=1.6, shear=25)


def pictures(shape: tuple[int, ...] = (1, 28, 28), count: int = 12, dtype: torch.dtype = torch.float32) -> Tensor:
    """Noise, which shows a shift of a hundredth of a pixel."""
    pixels = torch.randint(256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    return pixels if dtype == torch.uint8 else pixels.float() / 255


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(step: TransformConfig, images: Tensor):
    return draw(step, tuple(images.shape), seeded())


def assert_like_torchvision(ours: Tensor, theirs: list[Tensor], apart_at_most: float = 0.001) -> None:
    expected = torch.stack(theirs)
    assert ours.dtype == expected.dtype and ours.shape == expected.shape
    if ours.dtype == torch.uint8:
        # both round, and where a value is close to a half they may round apart
        apart = (ours.int() - expected.int()).abs()
        assert apart.max() <= 1 and (apart > 0).float().mean() < apart_at_most
    else:
        assert torch.allclose(ours, expected, atol=FLOAT_TOLERANCE), (ours - expected).abs().max()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
class TestAgainstTorchvision:
    def test_affine(self, shape, dtype):
        images = pictures(shape, dtype=dtype)
        made = drawn(AFFINE, images)
        assert isinstance(made, AffineDraw) and made.right.abs().max() > 2
        theirs = [F.affine(image, float(made.angle[i]), [int(made.right[i]), int(made.down[i])], float(made.scale[i]),
                           [float(made.shear[i]), 0.0], interpolation=BILINEAR) for i, image in enumerate(images)]
        assert_like_torchvision(apply_step(AFFINE, images, made), theirs)

    def test_rotation(self, shape, dtype):
        """Ours says clockwise, as torchvision's affine does; its rotate counts anticlockwise."""
        images, step = pictures(shape, dtype=dtype), RandomRotationConfig(degrees=180)
        made = drawn(step, images)
        theirs = [F.rotate(image, -float(made.angle[i]), interpolation=BILINEAR) for i, image in enumerate(images)]
        assert_like_torchvision(apply_step(step, images, made), theirs)

    def test_resized_crop(self, shape, dtype):
        images = pictures(shape, dtype=dtype)
        for size in (9, 28, 40):  # shrinking, which antialiases, and growing
            step = RandomResizedCropConfig(size=size, scale_min=0.1)
            made = drawn(step, images)
            theirs = [F.resized_crop(image, *(int(v[i]) for v in (made.top, made.left, made.height, made.width)), [size, size],
                                     antialias=True) for i, image in enumerate(images)]
            # PyTorch resizes uint8 in whole numbers and rounds between rows and columns, we in float and once: one level apart
            assert_like_torchvision(apply_step(step, images, made), theirs, apart_at_most=0.4)

    def test_flip(self, shape, dtype):
        images, step = pictures(shape, dtype=dtype), RandomHorizontalFlipConfig()
        made = drawn(step, images)
        assert 0 < made.flipped.sum() < len(images)
        ours = apply_step(step, images, made)
        theirs = [F.horizontal_flip(image) if made.flipped[i] else image for i, image in enumerate(images)]
        assert torch.equal(ours, torch.stack(theirs))

    def test_erase(self, shape, dtype):
        images, step = pictures(shape, dtype=dtype), RandomErasingConfig(p=0.8)
        made = drawn(step, images)
        zero = torch.zeros((), dtype=dtype)
        theirs = [F.erase(image, *(int(v[i]) for v in (made.top, made.left, made.height, made.width)), zero)
                  for i, image in enumerate(images)]
        assert (torch.stack(theirs) != images).any()
        assert torch.equal(apply_step(step, images, made), torch.stack(theirs))

    def test_resize(self, shape, dtype):
        images = pictures(shape, dtype=dtype)
        for size in (9, 28, 40):
            step = ResizeConfig(size=size)
            assert_like_torchvision(apply_step(step, images), list(V2.Resize((size, size))(images)), apart_at_most=0.4)

    def test_to_tensor_and_normalize(self, shape, dtype):
        images = pictures(shape, dtype=dtype)
        theirs = V2.Compose([V2.ToImage(), V2.ToDtype(torch.float32, scale=True), V2.Normalize([0.13], [0.31])])(images)
        ours = apply_step(NormalizeConfig(mean=0.13, std=0.31), apply_step(ToTensorConfig(), images))
        assert torch.allclose(ours, theirs, atol=FLOAT_TOLERANCE)

    def test_noise(self, shape, dtype, monkeypatch):
        """The same normal numbers on both sides."""
        images, step = pictures(shape, dtype=dtype), GaussianNoiseConfig(sigma=0.3)
        made = drawn(step, images)
        monkeypatch.setattr(torch, "randn_like", lambda images, **options: made.noise)
        theirs = V2.GaussianNoise(sigma=0.3)(images)
        apart = (apply_step(step, images, made).double() - theirs.double()).abs().max()
        assert apart <= (1 if dtype == torch.uint8 else FLOAT_TOLERANCE)  # torchvision cuts noise to whole grey levels, we round


# --- what is drawn


def test_the_registry_and_the_union_name_the_same_steps():
    union = get_args(get_args(TransformConfig)[0])
    assert {spec.config for spec in TRANSFORMS.values()} == set(union)
    for name, spec in TRANSFORMS.items():
        assert spec.config().kind == name
        made = draw(spec.config(), (2, 1, 28, 28), seeded())
        assert (made is not None) == spec.random
        assert hasattr(V2, spec.title), "the title is torchvision's name"


def test_affine_numbers_stay_in_bounds_and_fill_them():
    step = RandomAffineConfig(degrees=20, translate=0.25, scale_min=0.8, scale_max=1.4, shear=5)
    made = draw(step, (20_000, 1, 28, 40), seeded())
    for value, low, high in ((made.angle, -20, 20), (made.scale, 0.8, 1.4), (made.shear, -5, 5), (made.right, -10, 10),
                             (made.down, -7, 7)):
        assert low <= value.min() < low + (high - low) * 0.01 and high - (high - low) * 0.01 < value.max() <= high
        assert float(value.mean()) == pytest.approx((low + high) / 2, abs=(high - low) * 0.01)  # 5 standard errors
    # uniform: a standard deviation of (high − low) / √12, and neither depends on the other
    assert float(made.angle.std()) == pytest.approx(40 / 12**0.5, rel=0.02)
    assert torch.equal(made.right, made.right.round()), "whole pixels"
    numbers = torch.stack([made.angle, made.right, made.down, made.scale, made.shear])
    assert (torch.corrcoef(numbers) - torch.eye(5)).abs().max() < 0.04


def test_crops_are_distributed_as_torchvisions():
    step = RandomResizedCropConfig(size=28, scale_min=0.3, scale_max=0.9)
    made = draw(step, (4000, 1, 28, 40), seeded())
    torch.manual_seed(0)
    theirs = V2.RandomResizedCrop(28, scale=(0.3, 0.9), ratio=(0.75, 1.33))
    params = [theirs.make_params([torch.zeros(1, 28, 40)]) for _ in range(4000)]
    for ours, name in ((made.top, "top"), (made.left, "left"), (made.height, "height"), (made.width, "width")):
        expected = torch.tensor([float(p[name]) for p in params])
        error = (expected.var() / 2000).sqrt()  # of a difference of two means of 4,000
        assert float(ours.mean()) == pytest.approx(float(expected.mean()), abs=5 * float(error))
        assert float(ours.std()) == pytest.approx(float(expected.std()), rel=0.08)
        assert torch.equal(ours, ours.round())
    assert ((made.top + made.height) <= 28).all() and ((made.left + made.width) <= 40).all()


@pytest.mark.parametrize("shape", [(28, 40), (40, 28), (28, 28)])
def test_a_crop_that_never_fits_is_the_largest_middle_part(shape):
    made = draw(RandomResizedCropConfig(size=8, scale_min=1.0, ratio_min=0.2, ratio_max=0.2), (3, 1, *shape), seeded())
    params = V2.RandomResizedCrop(8, scale=(1.0, 1.0), ratio=(0.2, 0.2)).make_params([torch.zeros(1, *shape)])
    for value, name in ((made.top, "top"), (made.left, "left"), (made.height, "height"), (made.width, "width")):
        assert value.tolist() == [params[name]] * 3


def test_holes_are_distributed_as_torchvisions():
    step = RandomErasingConfig(p=0.6, scale_min=0.05, scale_max=0.9)
    made = draw(step, (4000, 1, 28, 28), seeded())
    theirs = V2.RandomErasing(p=1.0, scale=(0.05, 0.9))
    torch.manual_seed(0)
    params = [theirs.make_params([torch.zeros(1, 28, 28)]) for _ in range(3000)]
    share = sum(p["v"] is not None for p in params) / 3000  # very large ones find no place
    holes = made.height > 0
    assert float(holes.float().mean()) == pytest.approx(0.6 * share, abs=0.04)
    expected = torch.tensor([float(p["h"] * p["w"]) for p in params if p["v"] is not None])
    assert float((made.height * made.width)[holes].mean()) == pytest.approx(float(expected.mean()), rel=0.06)
    assert ((made.top + made.height) <= 28).all() and ((made.left + made.width) <= 28).all()


def test_a_flip_and_noise_are_as_often_and_as_strong_as_asked():
    made = draw(RandomHorizontalFlipConfig(p=0.3), (20_000, 1, 8, 8), seeded())
    assert isinstance(made, FlipDraw) and float(made.flipped.float().mean()) == pytest.approx(0.3, abs=0.017)
    noisy = apply_step(GaussianNoiseConfig(sigma=0.2, clip=False), torch.full((50, 1, 28, 28), 0.5),
                       draw(GaussianNoiseConfig(), (50, 1, 28, 28), seeded()))
    assert float(noisy.mean()) == pytest.approx(0.5, abs=0.005) and float(noisy.std()) == pytest.approx(0.2, rel=0.02)


def test_other_numbers_give_another_generator_and_the_same_the_same():
    first = {float(torch.rand(1, generator=generator_for(seed, epoch, piece)))
             for seed in range(10) for epoch in range(10) for piece in range(20)}
    assert len(first) > 1990  # float32 has few enough values for a chance meeting
    assert torch.equal(torch.rand(5, generator=generator_for(1, 2, 3)), torch.rand(5, generator=generator_for(1, 2, 3)))


def test_what_was_drawn_in_words():
    number = torch.tensor
    made = AffineDraw(number([12.3, 0.0]), number([2.0, 0.0]), number([-1.0, 0.0]), number([1.1, 1.0]), number([0.0, 0.0]))
    assert words(made, 0) == "turned 12° clockwise, 2 px right, 1 px up, 1.10 times as large"
    assert words(made, 1) == "as it was"
    box = BoxDraw(number([3.0, 0.0]), number([4.0, 0.0]), number([5.0, 0.0]), number([6.0, 0.0]))
    assert (words(box, 0), words(box, 1)) == ("5×6 pixels from row 3, column 4", "none")
    assert words(FlipDraw(number([True])), 0) == "mirrored" and words(None, 0) == ""


# --- pipelines


STEP = st.one_of(
    st.just(ToTensorConfig()), st.builds(NormalizeConfig, mean=st.floats(-1, 1), std=st.floats(0.1, 2)),
    st.builds(ResizeConfig, size=st.integers(8, 40)), st.builds(RandomRotationConfig, degrees=st.floats(0, 180)),
    st.builds(RandomHorizontalFlipConfig, p=st.floats(0, 1)),
    st.builds(RandomResizedCropConfig, size=st.integers(8, 40), scale_min=st.floats(0.01, 1)),
    st.builds(RandomAffineConfig, degrees=st.floats(0, 90), translate=st.floats(0, 1), shear=st.floats(0, 45)),
    st.builds(RandomErasingConfig, p=st.floats(0, 1)), st.builds(GaussianNoiseConfig, sigma=st.floats(0, 1)))


@settings(max_examples=60)
@given(st.lists(STEP, max_size=6).map(tuple), st.sampled_from(SHAPES), st.integers(0, 2**31 - 1))
def test_any_pipeline_keeps_shapes_types_and_finite_values(steps, shape, seed):
    images = pictures(shape, 5, torch.uint8)
    before = images.clone()
    channels = shape[0]
    result = augment(steps, images, (0.1,) * channels, (0.5,) * channels, generator_for(seed))
    assert torch.equal(images, before), "the data set is left as it was"
    assert result.dtype == torch.float32 and result.shape == (5, *shape_after(shape, steps)) and torch.isfinite(result).all()
    space, kept = Workspace(), result.clone()
    for _ in range(2):  # with memory from the batch before, which must not be what was returned
        assert torch.equal(kept, result), "a later batch changed an earlier one"
        result = augment(steps, images, (0.1,) * channels, (0.5,) * channels, generator_for(seed), space)
    assert torch.equal(kept, result)
    stages = walk(steps, images, generator_for(seed))
    assert stages[-1].dtype == "float32" and stages[-1].shape == tuple(result.shape[1:])
    fixed = walk(steps, images, None)
    assert fixed[-1].shape == stages[-1].shape, "all splits come out in one shape"
    if not any(isinstance(step, NormalizeConfig) for step in steps):
        clipped = all(step.clip for step in steps if isinstance(step, GaussianNoiseConfig))
        assert not clipped or -1e-5 <= stages[-1].lowest <= stages[-1].highest <= 1 + 1e-5


@settings(max_examples=60)
@given(st.lists(STEP, max_size=5).map(tuple), st.integers(0, 2**31 - 1))
def test_the_fast_way_is_the_slow_one(steps, seed):
    """Where no two moves are neighbours, which interpolate once instead of twice, and pixels are numbers from the start."""
    moves = (RandomRotationConfig, RandomAffineConfig, RandomHorizontalFlipConfig)
    kept, last_moved = [], False
    for step in steps:
        if not (isinstance(step, moves) and last_moved) and not isinstance(step, ToTensorConfig):
            kept.append(step)
            last_moved = isinstance(step, moves) or last_moved and isinstance(step, NormalizeConfig)
    images = pictures((1, 28, 28), 6, torch.uint8)
    slow = walk((ToTensorConfig(), *kept), images, generator_for(seed))[-1].images
    fast = augment(tuple(kept), images, (0.3,), (0.2,), generator_for(seed))
    scale = max(1.0, float(slow.abs().max()))
    assert torch.allclose(fast, (slow - 0.3) / 0.2, atol=5e-4 * scale), (fast - (slow - 0.3) / 0.2).abs().max()


def test_neighbouring_moves_are_one_resampling():
    """Two turns of 45° and a flip twice: the same picture as one quarter turn, and none of its edges are smoothed."""
    images = pictures(dtype=torch.uint8)
    quarter = [AffineDraw(torch.full((12,), a), *(torch.full((12,), v) for v in (0.0, 0.0, 1.0, 0.0))) for a in (45.0, 90.0)]
    from core.transforms.geometry import for_grid, matrix_of, one_after_the_other, resample

    flip = matrix_of(FlipDraw(torch.ones(12, dtype=torch.bool)))
    both = one_after_the_other(matrix_of(quarter[0]), matrix_of(quarter[0]))
    both = one_after_the_other(one_after_the_other(both, flip), flip)
    turned = resample(images.float(), for_grid(both, 28, 28))
    assert torch.allclose(turned, images.rot90(-1, (2, 3)).float(), atol=0.05), "a quarter turn clockwise, exactly"
    # a shift after a turn is along the picture's sides, a turn after a shift turns the shift too
    shift = AffineDraw(torch.zeros(12), *(torch.full((12,), v) for v in (3.0, 0.0, 1.0, 0.0)))
    turn = matrix_of(quarter[1])
    ours = resample(images.float(), for_grid(one_after_the_other(turn, matrix_of(shift)), 28, 28))
    expected = torch.zeros_like(ours)
    expected[:, :, :, 3:] = images.rot90(-1, (2, 3)).float()[:, :, :, :-3]
    assert torch.allclose(ours, expected, atol=0.05)


def test_to_tensor_is_put_where_it_is_needed():
    turn, norm, to = RandomRotationConfig(), NormalizeConfig(), ToTensorConfig()
    assert with_to_tensor((turn,)) == (turn, to)
    assert with_to_tensor((turn, norm)) == (turn, to, norm)
    assert with_to_tensor((norm, turn, to)) == (to, norm, turn)
    assert with_to_tensor((to, turn, to, norm)) == (to, turn, norm)
    assert with_to_tensor(()) == (to,) and with_to_tensor((turn, GaussianNoiseConfig())) == (turn, to, GaussianNoiseConfig())


def test_what_is_left_without_chance():
    crop, noise = RandomResizedCropConfig(size=20), GaussianNoiseConfig()
    assert without_chance((crop, noise, NormalizeConfig())) == (ResizeConfig(size=20), NormalizeConfig())
    assert fixed_sizes((crop, noise, ResizeConfig(size=24))) == (20, 24)
    assert shape_after((3, 28, 28), (crop, noise)) == (3, 20, 20) and shape_after((2,), (crop,)) == (2,)


def test_normalizes_add_up():
    """((x − 0.5) / 0.5 − 0.1) / 0.2 by hand: x = 0.7 → 0.4 → 1.5."""
    mean, std = with_normalizes((NormalizeConfig(),), (0.1,), (0.2,))
    assert (0.7 - mean[0]) / std[0] == pytest.approx(1.5)


# --- data sets


def digits_with(places, cache_dir, *steps, **fields) -> Dataset:
    return load(DataConfig(dataset="digits", validation=200, transforms=steps, **fields), places / "data", cache_dir)


def test_every_split_has_the_shape_and_only_training_images_vary(places, cache_dir):
    data = digits_with(places, cache_dir, RandomAffineConfig(), RandomResizedCropConfig(size=20), NormalizeConfig(),
                       normalization="half")
    assert data.input_shape == outline(DataConfig(dataset="digits", transforms=data.transforms)).input_shape == (1, 20, 20)
    order = torch.arange(64)
    batches = {name: Batches(data, data.split(name), CPU) for name in ("train", "validation", "test")}
    augmented = next(batches["train"].iterate(64, order, augmentation_seed=(0, 1)))
    for batch in (augmented, next(batches["test"].iterate(64))):
        assert batch.images.shape == (64, 1, 20, 20)
    first, again, later = (next(batches["train"].iterate(64, order, augmentation_seed=seed)).images
                           for seed in ((0, 1), (0, 1), (0, 2)))
    assert torch.equal(first, again) and not torch.equal(first, later), "each epoch draws anew"
    assert not torch.equal(first[0], first[1])
    elsewhere = Split(pictures(count=3, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), torch.arange(3))
    assert next(Batches(data, elsewhere, CPU).iterate(3)).images.shape == (3, 1, 20, 20), "of whatever else it is asked"
    # validation images: Resize, ToTensor, Normalize, and the run's own normalisation, as torchvision does it
    pixels = data.validation.stored(order)[0]
    theirs = V2.Compose([V2.Resize((20, 20)), V2.ToDtype(torch.float32, scale=True), V2.Normalize([0.5], [0.5]),
                         V2.Normalize([0.5], [0.5])])(pixels)
    ours = next(batches["validation"].iterate(64, order)).images
    assert torch.allclose(ours, theirs, atol=4 / 255 * 1.01)  # one grey level, which two normalisations make four of


def test_pieces_are_the_same_wherever_one_begins(places, cache_dir):
    data = digits_with(places, cache_dir, RandomAffineConfig(), GaussianNoiseConfig(), RandomErasingConfig())
    batches = Batches(data, data.train, CPU)
    order = torch.randperm(len(data.train), generator=seeded())
    whole = list(batches.iterate(48, order, augmentation_seed=(5, 3)))
    per_chunk = batches.batches_per_chunk(48, varied=True)
    assert per_chunk == VARIED_CHUNK // 48 and len(whole) > 2 * per_chunk
    for skip in (1, per_chunk - 1, per_chunk, per_chunk + 3, len(whole) - 1, len(whole)):
        rest = list(batches.iterate(48, order, skip, (5, 3)))
        assert len(rest) == len(whole) - skip
        for one, other in zip(rest, whole[skip:], strict=True):
            assert torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)


def test_transforms_are_not_for_points(places, cache_dir):
    with pytest.raises(DataError, match="transforms are for images") as caught:
        load(DataConfig(dataset="circle", transforms=(RandomRotationConfig(),)), places / "data", cache_dir)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("steps, message", [
    ([{"kind": "random_affine", "scale_min": 2.0}], "scale_min is 2, which is more than scale_max"),
    ([{"kind": "random_rotation", "degrees": 400}], "data.transforms.0.degrees is 400"),
    ([{"kind": "shake"}], "there is no 'shake'"),
    ([{"kind": "to_tensor"}] * 13, "at most 12"),
])
def test_a_wrong_step_is_one_line(steps, message):
    with pytest.raises(ConfigError, match=message) as caught:
        tiny(data__transforms=steps)
    assert "\n" not in str(caught.value)


def test_a_pipeline_is_plain_json():
    config = tiny(data__transforms=[{"kind": "random_affine", "degrees": 5}, {"kind": "normalize"}])
    assert config.data.transforms == (RandomAffineConfig(degrees=5), NormalizeConfig())
    assert type(config).model_validate_json(config.model_dump_json()) == config
