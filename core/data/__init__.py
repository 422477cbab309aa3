"""Data sets: found, split by a seed, and shared between processes.

    data = load(DataConfig(dataset="digits"), Path("data"))
    data.train.take(torch.arange(10))     # ten images and their labels
"""

from core.config import DataConfig
from core.data.dataset import DataDamaged, DataError, DataMissing, Dataset, Split, normalize
from core.data.features import FEATURES, as_features
from core.data.load import Outline, check, default_config, fixed_normalization, load, outline, read_texts
from core.data.own.importing import ImportRefused, ImportReport, delete_imported, import_images
from core.data.own.sets import is_own
from core.data.sources import DATASETS, DatasetSpec, available, spec_for, spec_of
from core.data.sources.texts import Texts
from core.data.statistics import channel_statistics

__all__ = ["DATASETS", "FEATURES", "DataConfig", "DataDamaged", "DataError", "DataMissing", "Dataset", "DatasetSpec",
           "ImportRefused", "ImportReport", "Outline", "Split", "Texts", "as_features", "available", "channel_statistics",
           "check", "default_config", "delete_imported", "fixed_normalization", "import_images", "is_own", "load", "normalize",
           "outline", "read_texts", "spec_for", "spec_of"]
