"""Transforms: what happens to images on their way to the network, by chance for each training image, on whole batches.

Configs know nothing of data sets and runs; DataConfig.transforms holds a tuple of them. Rules:
- steps act in their order; then comes DataConfig.normalization, whatever the steps were;
- random steps act on training images alone; validation and test images, and drawings, meet the others, and a Resize in a random
  crop's place;
- ToTensor needs no writing: without it, it stands before the first Normalize or noise, or at the end.
"""

from core.transforms.batch import augment, has_chance
from core.transforms.configs import (
    MOST_STEPS,
    TRANSFORMS,
    GaussianNoiseConfig,
    NormalizeConfig,
    RandomAffineConfig,
    RandomErasingConfig,
    RandomHorizontalFlipConfig,
    RandomResizedCropConfig,
    RandomRotationConfig,
    ResizeConfig,
    Steps,
    ToTensorConfig,
    TransformConfig,
    TransformSpec,
    fixed_sizes,
    is_random,
    shape_after,
    with_normalizes,
    with_to_tensor,
)
from core.transforms.draws import AffineDraw, BoxDraw, Draw, FlipDraw, NoiseDraw, draw, generator_for, words
from core.transforms.geometry import Workspace, resize
from core.transforms.steps import Stage, apply_step, walk, without_chance

__all__ = ["MOST_STEPS", "TRANSFORMS", "AffineDraw", "BoxDraw", "Draw", "FlipDraw", "GaussianNoiseConfig", "NoiseDraw",
           "NormalizeConfig", "RandomAffineConfig", "RandomErasingConfig", "RandomHorizontalFlipConfig",
           "RandomResizedCropConfig", "RandomRotationConfig", "ResizeConfig", "Stage", "Steps", "ToTensorConfig",
           "TransformConfig", "TransformSpec", "Workspace", "apply_step", "augment", "draw", "fixed_sizes", "generator_for",
           "has_chance", "is_random", "resize", "shape_after", "walk", "with_normalizes", "with_to_tensor", "without_chance",
           "words"]
