"""Layers that PyTorch has in one, two and three dimensions, by their public names: the classes that they share are private."""

from torch import nn

TransposedConvolution = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d | TransposedConvolution
BatchNorm = (nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
             | nn.LazyBatchNorm1d | nn.LazyBatchNorm2d | nn.LazyBatchNorm3d)
InstanceNorm = (nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d
                | nn.LazyInstanceNorm1d | nn.LazyInstanceNorm2d | nn.LazyInstanceNorm3d)
AdaptivePool = (nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d
                | nn.AdaptiveMaxPool1d | nn.AdaptiveMaxPool2d | nn.AdaptiveMaxPool3d)
